"""What holds of every store: what is loaded is read, nights change whole, and old ones go."""

from __future__ import annotations

import threading
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.errors import LeaseLostError
from recsys_spark.serving.loading import Turn, night_name
from recsys_spark.serving.store import Entry
from recsys_spark.serving.text import words
from tests.serving.nights import LISTS, fill, load


def test_lists_are_read_as_they_were_loaded(keeper, open_store):
    about = load(keeper, "first")
    night = open_store(keeper).live()["default"]
    assert night.about == about
    assert night.lists(["ann", "nobody", "a/b ?%"]) == {"ann": LISTS["ann"], "a/b ?%": LISTS["a/b ?%"]}
    assert night.lists(["'; DROP TABLE lists; --", "../../etc/passwd", "é" * 400]) == {}


def test_items_are_found_by_id_by_words_and_by_popularity(keeper, open_store):
    load(keeper, "first")
    night = open_store(keeper).live()["default"]
    assert night.items(["i0", "no such", "a/b?c"]).keys() == {"i0", "a/b?c"}
    assert night.items(["i1"])["i1"] == ("i1", "Crème brûlée", "Desserts", "Own", None, 2020, 9)
    assert [item.item_id for item in night.search("CREME", 9)] == ["i1", "i0"]  # without accents, most users first
    assert [item.item_id for item in night.search("cre", 9)] == ["i3", "i1", "i0"]
    assert [item.item_id for item in night.search("crème caf", 9)] == ["i0"]
    assert [item.item_id for item in night.search("i2", 9)] == ["i2"]  # without a title, by its id
    assert night.search('" OR *', 9) == night.search("'; --", 9) == []
    # equal users by the index; i3 is in no list
    assert [item.item_id for item in night.popular(3)] == ["i1", "a/b?c", "i0"]


def test_a_night_goes_live_whole_and_those_before_it_are_removed(keeper, open_store):
    load(keeper, "first")
    store = open_store(keeper)
    before = store.live()["default"]
    load(keeper, "second", {"zoe": [Entry("i0", 1.0, "model", None)]})
    assert not before.lists(["zoe"]) and before.lists(["bob"])
    assert store.refresh() and not store.refresh()
    after = store.live()["default"]
    assert after.about.name == "second" and after.lists(["zoe"]) and not after.lists(["bob"])
    assert [about.name for about in keeper.kept("default")] == ["second", "first"]
    load(keeper, "third")
    assert [about.name for about in keeper.kept("default")] == ["third", "second"]
    assert after.lists(["zoe"]) and store.refresh()  # the one before the live one is still there for those at it
    assert store.live()["default"].lists(["ann", "bob"]).keys() == {"ann", "bob"}


def test_a_holder_that_lost_the_lease_does_not_go_live_over_the_one_that_took_it(keeper, open_store):
    first = load(keeper, "first", turn=Turn("lease", 1_000_001))
    paused = fill(keeper, "paused", {"zoe": LISTS["bob"]})
    second = load(keeper, "second", turn=Turn("lease", 2_000_001))
    for turn in (Turn("lease", 1_000_002), Turn("lease", 2_000_001)):
        with pytest.raises(LeaseLostError, match="another run took the lease of"):
            keeper.go_live(paused, 2, turn)
    assert keeper.kept("default") == [second, first]
    night = open_store(keeper).live()["default"]
    assert night.about == second and night.lists(["ann", "zoe"]) == {"ann": LISTS["ann"]}


def test_a_root_that_was_made_anew_or_has_no_lease_goes_live(keeper):
    load(keeper, "old", turn=Turn("lease", 7_000_001))
    load(keeper, "anew", turn=Turn("another", 1_000_001))
    load(keeper, "without")
    last = load(keeper, "next", turn=Turn("another", 2_000_001))
    with pytest.raises(LeaseLostError):
        keeper.go_live(fill(keeper, "paused"), 2, Turn("another", 1_000_002))
    assert keeper.kept("default")[0] == last


def test_what_is_filled_under_a_later_turn_is_not_removed(keeper, open_store):
    filling = fill(keeper, night_name(date(2024, 1, 4), Turn("lease", 2_000_001)), {"zoe": LISTS["bob"]})
    load(keeper, "paused", turn=Turn("lease", 1_000_002))
    keeper.go_live(filling, 2, Turn("lease", 2_000_002))
    assert open_store(keeper).live()["default"].lists(["zoe"]) == {"zoe": LISTS["bob"]}
    assert [about.name for about in keeper.kept("default")] == [filling.name, "paused"]


def test_each_variant_has_nights_of_its_own(keeper, open_store):
    load(keeper, "first")
    load(keeper, "other", variant="a/../b")
    store = open_store(keeper)
    assert {variant: night.about.name for variant, night in store.live().items()} == {
        "default": "first",
        "a/../b": "other",
    }
    assert keeper.variants() == ["a/../b", "default"]


def test_a_night_that_is_live_again_is_not_loaded_anew(keeper, open_store):
    first = load(keeper, "first")
    load(keeper, "second")
    keeper.go_live(first, 2)
    assert open_store(keeper).live()["default"].about == first
    assert [about.name for about in keeper.kept("default")] == ["first", "second"]


def test_many_threads_read_one_night(keeper, open_store):
    lists = {f"u{number}": [Entry(f"i{number}", float(number), "model", None)] for number in range(200)}
    load(keeper, "first", lists)
    night, wrong = open_store(keeper).live()["default"], []

    def read(start):
        for number in [*range(start, 200), *range(start)] * 5:
            if night.lists([f"u{number}"]) != {f"u{number}": lists[f"u{number}"]}:
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(25 * place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_words_are_the_same_again_and_harmless_in_a_query(text):
    found = words(text)
    assert words(" ".join(found)) == found
    assert all(word.isalnum() for word in found)


def test_users_are_found_by_how_their_ids_begin_in_order_of_code_points(keeper, open_store):
    ids = ["b", "B1", "B10", "B2", "a_b", "a%b", "é", "😀1", "😀2"]
    load(keeper, "first", dict.fromkeys(ids, LISTS["bob"]))
    night = open_store(keeper).live()["default"]
    assert night.users("", 20) == sorted(ids)
    assert night.users("B1", 20) == ["B1", "B10"] and night.users("B", 2) == ["B1", "B10"]
    assert night.users("😀", 9) == ["😀1", "😀2"]
    assert night.users("a_", 9) == ["a_b"] and night.users("a%", 9) == ["a%b"] and night.users("'; --", 9) == []


def test_sheets_go_with_their_night(keeper, open_store):
    load(keeper, "first", sheets={"health": '{"é": 1}'})
    store = open_store(keeper)
    night = store.live()["default"]
    assert night.sheet("health") == keeper.sheet("first", "health") == '{"é": 1}'
    assert night.sheet("map") is keeper.sheet("first", "map") is keeper.sheet("no such", "health") is None
    load(keeper, "second", sheets={"health": "2"})
    load(keeper, "third")
    store.refresh()
    assert store.live()["default"].sheet("health") is None and keeper.sheet("second", "health") == "2"
    assert keeper.sheet("first", "health") is None  # gone with its night
