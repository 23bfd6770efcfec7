"""Pages and charts: what is escaped, what stands where, the same bytes twice, colours that can be told apart."""

from __future__ import annotations

import io
import re
from datetime import date
from html.parser import HTMLParser

import pytest
from markupsafe import Markup
from PIL import Image

from recsys_spark.pages import (
    Box,
    Chart,
    Figure,
    Note,
    Page,
    Part,
    Points,
    Share,
    Table,
    bars,
    boxes,
    boxes_over_time,
    columns,
    histogram,
    lines,
    scatter,
    sparkline,
)
from recsys_spark.pages.style import COLOURS, DARK, LIGHT

BOXES = [
    Box(label, 1, 2, 3, 4, 5, n, series) for n, (label, series) in enumerate([("a", "F"), ("a", "M"), ("b", "F")], 7)
]
CHARTS = [
    bars("Bars", ["tea", "<b>"], [3, 1], "purchases", ["3 (75%)", "1 (25%)"]),
    columns("Columns", ["00", "01"], [1, 2], "hour", "events"),
    lines("Lines", [date(2024, 1, 1), date(2024, 1, 2)], {"views": [1, None], "sales": [2, 3]}, "day", "events"),
    boxes("Boxes", BOXES, "rating"),
    boxes_over_time("Years", BOXES[:1], "rating", "year", "ratings"),
    histogram("Histogram", [0, 1, 2], {"positives": [1, 2], "negatives": [2, 1]}, "score", "pairs"),
    scatter("Scatter", {"drama": Points([0, 1], [1, 0]), "comedy": Points([1], [1])}, "x", "y"),
    sparkline("Sparkline", [1, 2, None, 3], low=1),
]


def page(*blocks: object) -> Page:
    return Page("Title & more", "What it is of.", [Part("One part", blocks)], {"events": 1234567})  # type: ignore[arg-type]


class Tags(HTMLParser):
    """Every tag with its attributes, and that each that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_chart_has_the_same_bytes_twice_and_follows_the_page(chart: Chart):
    picture, drawn = chart.png(), chart.svg()
    assert drawn == chart.svg()
    assert picture == chart.png()
    assert Image.open(io.BytesIO(picture)).width == round(150 * chart.width)
    assert "var(--colour-0)" in drawn or "var(--ink)" in drawn
    assert not [one for one in COLOURS if one.lower() in drawn]


def test_all_text_is_escaped_but_markup():
    html = page("a <script>", Note("<b>", "&"), Table(["<i>"], [["<u>"]]), Markup("<em>meant</em>")).html()
    assert "a &lt;script&gt;" in html and "<em>meant</em>" in html and "<title>Title &amp; more</title>" in html
    assert not re.search(r"<(script|b|i|u)>", html)


def test_a_page_is_well_formed_names_no_host_and_has_no_id_twice():
    shown = [Figure(chart, f"of {chart.title}", Table(["n"], [[1]])) for chart in CHARTS]
    sparks = Table(["metric", "days"], [["hr", CHARTS[-1]]])
    html = page(*shown, sparks, *shown[:1]).html()
    tags = Tags(html)
    assert tags.open == []
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
    assert len(ids) == len(set(ids)) > 100
    asked = [
        value
        for tag, attributes in tags.found
        for key, value in attributes.items()
        if key in ("src", "href", "xlink:href")
    ]
    assert asked and all(re.match(r"#|data:", value or "") for value in asked)
    assert set(re.findall(r"#([\w-]+)\)", html)) <= set(ids)  # clip paths lead somewhere
    alts = [attributes["aria-label"] for _, attributes in tags.found if attributes.get("role") == "img"]
    assert alts == [figure.alt for figure in [*shown, *shown[:1]]]
    assert html == page(*shown, sparks, *shown[:1]).html()


def test_numbers_stand_at_the_right_and_are_written_for_people():
    table = Table(["what", "events", "share"], [["tea", 1234567, Share(0.125)], ["rest", None, Share(1.0)]])
    html = page(table).html()
    assert '<th scope="col">what</th>' in html and '<th scope="col" class="number">events</th>' in html
    assert '<td class="number">1,234,567</td>' in html and '<td class="number">12.5%</td>' in html
    assert '<td class="number">-</td>' in html


def test_contents_lead_to_the_parts_and_two_of_a_title_are_an_error():
    html = page("x").html()
    assert '<a href="#one-part">One part</a>' in html and '<h2 id="one-part">One part</h2>' in html
    with pytest.raises(ValueError, match="share a title"):
        Page("t", "", [Part("Same", []), Part("same!", [])]).html()


def test_a_page_over_its_size_is_an_error():
    with pytest.raises(ValueError, match="at most 3,000,000"):
        page("x" * 3_000_000).html()


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_marks_stand_out_as_wcag_aa_asks(theme):
    def contrast(name: str) -> float:
        light, dark = sorted((luminance(theme[name]), luminance(theme["paper"])), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    assert min(contrast(name) for name in ("ink", "pale", "colour-0")) >= 4.5
    assert min(contrast(name) for name in theme if name.startswith("colour-")) >= 3
