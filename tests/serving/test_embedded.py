"""The embedded store: what is loaded is read, nights change whole, and old ones go."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper, users_in
from recsys_spark.serving.loading import ListRow
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
