"""The embedded store: what is loaded is read, nights change whole, and old ones go."""

from __future__ import annotations

import threading
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper, users_in
from recsys_spark.serving.store import Entry
from recsys_spark.serving.text import words
from tests.serving.nights import LISTS, load


@pytest.fixture
def keeper(tmp_path: Path) -> EmbeddedKeeper:
    return EmbeddedKeeper(str(tmp_path / "store"))


def opened(keeper: EmbeddedKeeper):
    store = EmbeddedStore(keeper.location)
    assert store.refresh()
    return store


def test_lists_are_read_as_they_were_loaded(keeper):
    about = load(keeper, "first")
    night = opened(keeper).live()["default"]
    assert night.about == about
    assert night.lists(["ann", "nobody", "a/b ?%"]) == {"ann": LISTS["ann"], "a/b ?%": LISTS["a/b ?%"]}
    assert night.lists(["'; DROP TABLE lists; --", "../../etc/passwd", "é" * 400]) == {}


def test_items_are_found_by_id_by_words_and_by_popularity(keeper):
    load(keeper, "first")
    night = opened(keeper).live()["default"]
    assert night.items(["i0", "no such", "a/b?c"]).keys() == {"i0", "a/b?c"}
    assert night.items(["i1"])["i1"] == ("i1", "Crème brûlée", "Desserts", "Own", None, 2020, 9)
    assert [item.item_id for item in night.search("CREME", 9)] == ["i1", "i0"]  # without accents, most users first
    assert [item.item_id for item in night.search("cre", 9)] == ["i3", "i1", "i0"]
    assert [item.item_id for item in night.search("crème caf", 9)] == ["i0"]
    assert [item.item_id for item in night.search("i2", 9)] == ["i2"]  # without a title, by its id
    assert night.search('" OR *', 9) == night.search("'; --", 9) == []
    # equal users by the index; i3 is in no list
    assert [item.item_id for item in night.popular(3)] == ["i1", "a/b?c", "i0"]


def test_a_night_goes_live_whole_and_those_before_it_are_removed(keeper):
    load(keeper, "first")
    store = opened(keeper)
    before = store.live()["default"]
    load(keeper, "second", {"zoe": [Entry("i0", 1.0, "model", None)]})
    assert not before.lists(["zoe"]) and before.lists(["bob"])
    assert store.refresh() and not store.refresh()
    after = store.live()["default"]
    assert after.about.name == "second" and after.lists(["zoe"]) and not after.lists(["bob"])
    assert [about.name for about in keeper.kept("default")] == ["second", "first"]
    load(keeper, "third")
    assert [about.name for about in keeper.kept("default")] == ["third", "second"]
    assert not (Path(keeper.location) / "first").exists()
    assert before.lists(["ann", "bob"]).keys() == {"ann", "bob"}  # whoever has it open reads on


def test_each_variant_has_nights_of_its_own(keeper):
    load(keeper, "first")
    load(keeper, "other", variant="a/../b")
    store = opened(keeper)
    assert {variant: night.about.name for variant, night in store.live().items()} == {
        "default": "first",
        "a/../b": "other",
    }
    assert keeper.variants() == ["default", "a/../b"]


def test_a_night_that_is_live_again_is_not_loaded_anew(keeper):
    first = load(keeper, "first")
    load(keeper, "second")
    keeper.go_live(first, 2)
    assert opened(keeper).live()["default"].about == first
    assert [about.name for about in keeper.kept("default")] == ["first", "second"]


def test_what_a_repeated_task_loaded_counts_once(keeper):
    loader = keeper.loader("first")
    lost = loader.add_lists(0, [("ann", "{}")])
    load(keeper, "first")
    assert lost.name not in str(opened(keeper).live()["default"].lists(["ann", "bob"]))
    assert opened(keeper).live()["default"].lists(["ann"]) == {"ann": LISTS["ann"]}


def test_a_night_that_is_not_whole_leaves_the_old_one_live(keeper):
    load(keeper, "first")
    store = opened(keeper)
    keeper.loader("second").add_lists(0, [("ann", "{}")])
    assert not store.refresh()
    (Path(keeper.location) / "live.json").write_text('{"default": ["second"]}')
    with pytest.raises(FileNotFoundError, match=r"second has no night\.json"):
        store.refresh()
    assert store.live()["default"].about.name == "first"


def test_a_store_that_lies_elsewhere_is_copied_and_the_copy_removed():
    location = "memory://elsewhere/store"
    keeper = EmbeddedKeeper(location)
    load(keeper, "first")
    store = EmbeddedStore(location)
    store.refresh()
    night = store.live()["default"]
    folder = Path(night._lists[next(iter(night._lists))]._database.execute("PRAGMA database_list").fetchone()[2]).parent
    assert night.lists(["bob"]) == {"bob": LISTS["bob"]} and folder.is_dir()
    load(keeper, "second")
    assert store.refresh()
    del night
    assert not folder.exists()
    fsspec.filesystem("memory").rm("/elsewhere", recursive=True)


def test_users_are_read_from_files_of_lists_alone(keeper):
    load(keeper, "first")
    files = [str(file) for file in Path(keeper.location).rglob("*.sqlite")]
    assert sorted(user for file in files for user in users_in(file)) == sorted(LISTS)


def test_many_threads_read_one_night(keeper):
    lists = {f"u{number}": [Entry(f"i{number}", float(number), "model", None)] for number in range(200)}
    load(keeper, "first", lists)
    night, wrong = opened(keeper).live()["default"], []

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
