"""The page in a real browser, over a store that was loaded by hand."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright

from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from recsys_spark.serving.keys import add_key
from tests import browser
from tests.serving import shop
from tests.serving.service import listening

VIEWS = ["lists?user=10&with=p20&with=p2&beside=1", "items?item=p7", "night"]
ROW = "ol[aria-label='List'] > li"


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    keeper = EmbeddedKeeper(str(tmp_path_factory.mktemp("page") / "store"))
    shop.fill(keeper)
    return keeper


@pytest.fixture(scope="module")
def url(keeper):
    with listening(EmbeddedStore(keeper.location), change=shop.with_live_lists) as url:
        yield url


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser.found(), args=browser.AS_ROOT)
        yield launched
        launched.close()


@pytest.fixture
def open_page(chromium):
    """`open_page(url, ...)`: a page in a browser of its own; `page.said` is what its console says of errors."""
    contexts = []

    def opened(url: str, width: int = 1280, height: int = 900, **given) -> Page:
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, **given))
        page = contexts[-1].new_page()
        page.set_default_timeout(5000)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()


def titles(page: Page, label: str = "List") -> list[str]:
    return page.locator(f"ol[aria-label='{label}'] .title").all_inner_texts()


def test_a_list_with_reasons_and_a_history_are_there_at_once(url, open_page):
    page = open_page(url)
    expect(page.locator("h1")).to_have_text("User 1")
    expect(page.locator(ROW)).to_have_count(10)
    first, third = page.locator(ROW).nth(0), page.locator(ROW).nth(2)
    expect(first.locator(".title")).to_have_text("Bananas")
    expect(first.locator(".reason")).to_have_text("had before, and likely again")
    expect(first.locator(".number")).to_have_text("3.000")
    expect(first.locator(".disc")).to_have_text("Fr")  # FRUIT
    expect(third.locator(".reason")).to_have_text("because you had Bananas")
    expect(page.locator(".had .title")).to_have_text(
        ["White bread, 20 OZ", "Bananas", "Whole milk, 1 GA", "Ginger ale"]
    )
    expect(page.locator(".had p").first).to_have_text("Baked bread, Food · Mar 1, 2024")
    expect(page.locator("#status")).to_contain_text("1 of 3 measured gates not passed")
    assert page.said == []
    assert {urlsplit(asked).netloc for asked in page.asked} == {urlsplit(url).netloc}


def test_a_user_is_found_by_how_the_id_begins_and_any_other_may_be_typed(url, open_page):
    page = open_page(url)
    field = page.get_by_role("combobox", name="Whose list")
    field.fill("1")
    expect(page.locator(".find li")).to_have_text(["1", "10", "11", "12"])
    field.press("ArrowDown")
    field.press("ArrowDown")
    field.press("Enter")
    expect(page.locator("h1")).to_have_text("User 10")
    expect(page.get_by_role("button", name="10", exact=True)).to_have_attribute("aria-pressed", "true")
    field.fill("nobody's id")
    field.press("Enter")
    expect(page.locator(".panel .note").first).to_contain_text("what is popular")
    page.go_back()
    expect(page.locator("h1")).to_have_text("User 10")


def test_the_list_moves_as_items_come_into_the_session_and_go_again(url, open_page):
    page = open_page(url)
    expect(page.locator(ROW)).to_have_count(10)
    published = titles(page)
    page.evaluate(
        "() => { window.glides = 0; const own = Element.prototype.animate;"
        "Element.prototype.animate = function (...given) { window.glides += 1; return own.apply(this, given); }; }"
    )
    field = page.get_by_role("combobox", name="Made-up session")
    field.fill("tonic")
    page.locator(".find li").filter(has_text="Tonic").click()
    expect(page.locator(".made").first).to_contain_text("Made just now from 1 item of the session")
    assert titles(page)[:4] == ["Cola, 12 cans", "Ginger ale", "Sparkling water", "Orange soda"]
    tags = page.locator(f"{ROW} .tags").all_inner_texts()
    assert tags[0] == "▲ 9\nup by 9" and tags[1] == "new" and tags[4] == "▼ 4\ndown by 4"  # Bananas from 1 to 5
    assert page.evaluate("window.glides") >= 5
    page.get_by_role("button", name="Add Lemons to the session").click()
    expect(page.locator(".held")).to_have_count(2)
    expect(page).to_have_url(re.compile("with=p23&with=p3$"))
    page.get_by_role("button", name="Take Lemons out").click()
    page.get_by_role("button", name="Take Tonic out").click()
    expect(page.locator(".made").first).to_contain_text("Published for Mar 1, 2024")
    assert titles(page) == published and page.said == []


def test_an_address_is_shown_as_it_is_and_changes_at_once_are_all_kept(url, open_page):
    page = open_page("about:blank")
    page.route("**/v1/items/*", lambda route: (time.sleep(0.2), route.continue_()))
    page.goto(f"{url}/#/lists?user=10&with=p20&with=p2")
    expect(page.locator("h1")).to_have_text("User 10")
    expect(page.locator(".held span:not(.disc)")).to_have_text(["Sparkling water", "Gala apples"])
    page.evaluate(
        "document.querySelectorAll(\"ol[aria-label='List'] button\").forEach((one, place) => place < 3 && one.click())"
    )
    expect(page.locator(".held")).to_have_count(5)
    expect(page.locator(".made").first).to_contain_text("from 5 items")
    page.get_by_role("link", name="Night", exact=True).click()
    expect(page.locator("h1")).to_have_text("The live night")
    page.get_by_role("link", name="Lists", exact=True).click()  # as it was left
    expect(page.locator(".held")).to_have_count(5)


def test_nothing_glides_for_who_wants_no_motion(url, open_page):
    page = open_page(f"{url}/#/lists?user=1", reduced_motion="reduce")
    expect(page.locator(ROW)).to_have_count(10)
    page.evaluate("() => { Element.prototype.animate = () => { throw new Error('it moves'); }; }")
    page.get_by_role("button", name="Add Lemons to the session").click()
    expect(page.locator(".made").first).to_contain_text("Made just now")
    assert page.said == []


def test_two_variants_stand_side_by_side(url, open_page):
    page = open_page(f"{url}/#/lists?user=1")
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator("ol[aria-label='List beside'] > li")).to_have_count(10)
    assert titles(page, "List beside")[0] == "Gala apples"  # variant b begins two items later
    expect(page.locator(ROW).first.locator(".tags")).to_have_text("6 beside")  # (2 + 5 * 5) % 27
    expect(page.locator("ol[aria-label='List beside'] > li").first.locator(".tags")).to_have_text("only here")
    page.get_by_role("combobox", name="List beside: variant").select_option(label="default · model of of, as published")
    expect(page.locator("ol[aria-label='List beside'] .title").first).to_have_text("Bananas")
    expect(page.locator(ROW).first.locator(".tags")).to_have_text("")


def test_items_are_explored_by_title_likeness_and_on_the_map(url, open_page):
    page = open_page(f"{url}/#/items")
    field = page.get_by_role("combobox", name="Find an item")
    field.fill("pizza")
    expect(page.locator(".found")).to_have_text("3 of the items on the map have these letters")
    page.locator(".find li").first.click()
    expect(page.locator(".stack h2").first).to_have_text("Pizza margherita")
    near = page.get_by_role("region", name="Near it on the map").locator(".title")
    assert set(near.all_inner_texts()[:2]) == set(shop.GROUPS["FROZEN PIZZA"][1:])
    page.get_by_role("region", name="Similar items").locator(".title").last.click()
    expect(page.locator(".stack h2").first).to_have_text("Calzone")
    assert page.evaluate("document.activeElement.tagName") == "H2"  # what had the focus is gone
    box = page.locator("canvas").bounding_box()
    calzones = (
        box["x"] + box["width"] / 2,
        box["y"] + box["height"] / 2 - (box["height"] / 2 - 24) / 8,
    )  # p25: x 0, y 1/8
    page.get_by_role("button", name="Zoom out").click()
    field.fill("")
    page.mouse.move(*calzones)
    expect(page.locator(".tip")).to_be_visible()
    page.mouse.click(*calzones)
    expect(page).to_have_url(re.compile("item=p25$"))
    assert page.said == []


def test_the_map_is_walked_by_keys(url, open_page):
    page = open_page(f"{url}/#/items?item=p0")
    canvas = page.get_by_role("application")
    canvas.focus()
    told = page.locator("#map-told")
    canvas.press("ArrowRight")
    expect(told).to_have_text("Blueberries, Fruit, Food")  # of the row of p0: p0, p4 and p2 from left to right
    canvas.press("Enter")
    expect(page.locator(".stack h2").first).to_have_text("Blueberries")
    canvas.press("+")
    canvas.press("0")
    assert page.said == []


def test_the_nights_health_is_told(url, open_page):
    page = open_page(f"{url}/#/night")
    usual, other = page.get_by_role("region", name="Variant default"), page.get_by_role("region", name="Variant b")
    gates = usual.locator("table").first.locator("tbody tr")
    expect(gates).to_have_count(4)
    expect(gates.nth(3)).to_contain_text("forced")
    expect(gates.nth(1).locator("td").nth(2)).to_have_text("≥ 0.999")
    quality = usual.locator("table").nth(1)
    assert quality.locator("th").all_inner_texts()[:4] == ["Figure", "two_tower", "popularity", "random"]
    expect(quality.locator("tbody tr").first.locator("td").first).to_have_text("0.105")  # 0.7 x 0.3 x 10 / 20
    usual.get_by_role("combobox", name="Length of the list").select_option("5")
    expect(quality.locator("tbody tr").first.locator("td").first).to_have_text("0.0525")
    expect(other).to_contain_text("published before its health was written down")


def test_all_of_it_is_reached_by_keys_and_the_focus_is_seen(url, open_page):
    page = open_page(f"{url}/#/lists?user=1&with=p23&beside=1")
    expect(page.locator("ol[aria-label='List beside'] > li")).to_have_count(10)
    expect(page.locator(".had li")).to_have_count(4)
    reached, seen = (
        [],
        "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.outlineWidth; }",
    )
    for _ in range(120):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
        )
        if page.evaluate("document.activeElement === document.body"):
            break
        assert page.evaluate(seen) == "solid3px", name
        reached.append(name)
    assert reached[0] == "To the content"
    controls = page.locator("a[href], button:enabled, select, input").filter(visible=True).count()
    assert len(reached) == controls
    page.reload()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_nothing_is_wider_than_the_window(url, open_page):
    page = open_page(url)
    for view in VIEWS:
        page.goto(f"{url}/#/{view}")
        page.wait_for_load_state("networkidle")
        for width in (320, 390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, view


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(url, open_page, scheme, width):
    for view in VIEWS:
        page = open_page(f"{url}/#/{view}", width, color_scheme=scheme)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_the_colours_are_chosen_and_stay(url, open_page):
    page = open_page(f"{url}/#/night", color_scheme="light")
    button = page.get_by_role("button", name="Colours")
    button.click()
    button.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(keeper, open_page, tmp_path):
    key = add_key(str(tmp_path / "keys"), "page")
    with listening(
        EmbeddedStore(keeper.location), f"serve.keys_file={tmp_path / 'keys'}", change=shop.with_live_lists
    ) as url:
        page = open_page(url)
        field = page.get_by_label("API key")
        field.fill("a guess")
        field.press("Enter")
        expect(page.locator("#trouble")).to_contain_text("a key is needed")
        expect(page.locator("dialog")).to_be_visible()
        field.fill(key)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator(ROW)).to_have_count(10)
        page.reload()
        expect(page.locator(ROW)).to_have_count(10)
        assert page.evaluate("JSON.stringify(localStorage)").find(key) < 0
        other = open_page(url)
        expect(other.locator("dialog")).to_be_visible()


def test_what_a_night_or_a_service_has_not_is_said(tmp_path, open_page):
    keeper = EmbeddedKeeper(str(tmp_path / "store"))
    shop.fill(keeper, sheets=False)
    with listening(EmbeddedStore(keeper.location), change=shop.without_live_lists) as url:
        page = open_page(f"{url}/#/lists?user=1&with=p3")
        expect(page.locator(".panel .note").first).to_contain_text("does not follow the session: this model makes")
        expect(page.locator(ROW)).to_have_count(10)
        expect(page.locator(".history")).to_contain_text("No history is shown: this service does not answer it")
        page.goto(f"{url}/#/items?item=p3")
        expect(page.locator(".map")).to_contain_text("No map is shown: this night has no map")
        expect(page.get_by_role("region", name="Similar items")).to_contain_text("None are shown")
        page.goto(f"{url}/#/night")
        expect(page.locator(".night")).to_contain_text("published before its health was written down")


def test_a_service_without_a_night_says_so(tmp_path, open_page):
    with listening(EmbeddedStore(str(tmp_path / "nothing"))) as url:
        page = open_page(url)
        expect(page.locator("#trouble")).to_contain_text("nothing is published yet")
