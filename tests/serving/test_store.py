"""What holds of every store: what is loaded is read, nights change whole, and old ones go."""

from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.serving.store import Entry
from recsys_spark.serving.text import words
from tests.serving.nights import LISTS, load


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
