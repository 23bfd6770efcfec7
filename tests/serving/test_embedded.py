"""The embedded store: what is loaded is read, nights change whole, and old ones go."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from recsys_spark import storage
from recsys_spark.errors import LeaseLostError
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper, users_in
from recsys_spark.serving.live_nights import change, live_nights
from recsys_spark.serving.loading import ListRow, Turn
from tests.serving.nights import LISTS, load


@pytest.fixture
def keeper(tmp_path: Path) -> EmbeddedKeeper:
    return EmbeddedKeeper(str(tmp_path / "store"))


def opened(keeper: EmbeddedKeeper):
    store = EmbeddedStore(keeper.location)
    assert store.refresh()
    return store


def test_a_night_that_is_removed_is_read_on_by_whoever_has_it_open(keeper):
    load(keeper, "first")
    night = opened(keeper).live()["default"]
    load(keeper, "second", keep=1)
    assert not (Path(keeper.location) / "first").exists()
    assert night.lists(["ann", "bob"]).keys() == {"ann", "bob"}


def test_what_a_repeated_task_loaded_counts_once(keeper):
    loader = keeper.loader("first")
    lost = loader.add_lists(0, [ListRow("ann", "{}")])
    load(keeper, "first")
    assert lost.name not in str(opened(keeper).live()["default"].lists(["ann", "bob"]))
    assert opened(keeper).live()["default"].lists(["ann"]) == {"ann": LISTS["ann"]}


def test_a_night_that_is_not_whole_leaves_the_old_one_live(keeper):
    load(keeper, "first")
    store = opened(keeper)
    keeper.loader("second").add_lists(0, [ListRow("ann", "{}")])
    assert not store.refresh()
    before = live_nights(keeper.location)
    change(keeper.location, before, before.after(None, {"default": ["second"]}))
    with pytest.raises(FileNotFoundError, match=r"second has no night\.json"):
        store.refresh()
    assert store.live()["default"].about.name == "first"


def test_who_looked_before_another_went_live_changes_nothing(keeper):
    first = load(keeper, "first", turn=Turn("lease", 1_000_001))
    before = live_nights(keeper.location)
    second = load(keeper, "second", turn=Turn("lease", 2_000_001))
    with pytest.raises(LeaseLostError):
        change(keeper.location, before, before.after(Turn("lease", 1_000_002), {"default": ["paused"]}))
    assert keeper.kept("default") == [second, first]
    third = load(keeper, "third", turn=Turn("lease", 3_000_001))
    files = sorted(file.name for file in (Path(keeper.location) / "live").iterdir())
    assert files == [f"{number:020d}.json" for number in (1_000_001, 1_000_002, 2_000_001, 3_000_001)]
    assert opened(keeper).live()["default"].about == third


def test_a_reader_whose_file_was_removed_meanwhile_looks_again(keeper, monkeypatch):
    load(keeper, "first")
    listed = iter([["00000000000000000009.json"]])  # gone since
    really = storage.list_files
    monkeypatch.setattr(storage, "list_files", lambda location: next(listed, None) or really(location))
    assert live_nights(keeper.location).nights == {"default": ["first"]}


def test_a_listing_made_while_nights_change_finds_one_of_them(keeper, monkeypatch):
    load(keeper, "before")
    really = storage.list_files

    def during_changes(location):
        """The least that a listing may show: what was there when it began, and still is when it ends."""
        began = really(location)
        monkeypatch.setattr(storage, "list_files", really)
        for number in range(4):
            load(keeper, f"night-{number}")
        return [file for file in began if file in really(location)]

    monkeypatch.setattr(storage, "list_files", during_changes)
    assert live_nights(keeper.location).nights == {"default": ["before"]}
    for number in range(20):
        load(keeper, f"later-{number}")
    assert len(list((Path(keeper.location) / "live").iterdir())) == 8
    assert live_nights(keeper.location).nights["default"][0] == "later-19"


def test_a_store_of_an_earlier_version_is_read_and_goes_on(keeper):
    first = load(keeper, "first")
    (Path(keeper.location) / "live" / f"{1:020d}.json").unlink()
    old = Path(keeper.location) / "live.json"
    old.write_text('{"default": ["first"]}')
    assert keeper.kept("default") == [first]
    second = load(keeper, "second")
    assert keeper.kept("default") == [second, first] and not old.exists()


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
