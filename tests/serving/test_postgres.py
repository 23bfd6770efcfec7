"""PostgreSQL as the store: repeated tasks, nights removed under a reader, a restart under load."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from recsys_spark.config import load_config
from recsys_spark.errors import LeaseLostError, UserError
from recsys_spark.serving.client import Client, ServiceError
from recsys_spark.serving.loading import ListRow, Turn, night_name
from recsys_spark.serving.opening import keeper_of, store_of
from recsys_spark.serving.postgres_tables import PostgresKeeper
from recsys_spark.serving.store import StoreUnavailableError
from tests.serving import postgres
from tests.serving.conftest import keeper_in, reader_of
from tests.serving.nights import LISTS, as_kept, fill, load
from tests.serving.service import listening

ON = ["store.kind=postgres", "store.database_schema=of_this_test"]


def test_the_configuration_names_a_variable_that_says_how_to_connect(server, monkeypatch):
    config = load_config(settings=ON)
    monkeypatch.delenv("RECSYS_STORE_DSN", raising=False)
    for opening in (keeper_of, store_of):
        with pytest.raises(UserError, match="the environment has no RECSYS_STORE_DSN"):
            opening(config, "/nowhere")
    monkeypatch.setenv("RECSYS_STORE_DSN", server.dsn)
    keeper, store = keeper_of(config, "/nowhere"), store_of(config, "/nowhere")
    assert not store.refresh() and keeper.kept("default") == keeper.variants() == keeper.nights() == []
    load(keeper, "first")
    assert store.refresh() and store.live()["default"].lists(["bob"]) == {"bob": LISTS["bob"]}
    store.close()
    assert server.dsn not in repr(keeper) + repr(keeper.loader("second"))


def test_where_no_store_is_filled_none_is_served():
    with pytest.raises(UserError, match="no lists are kept for the service"):
        store_of(load_config(settings=["store.kind=none"]), "/nowhere")


def test_a_task_that_runs_twice_at_once_loads_its_shard_once(server):
    keeper = keeper_in(server)
    loader, barrier = keeper.loader("first"), threading.Barrier(2)
    rows = [ListRow(user_id, as_kept(LISTS[user_id])) for user_id in sorted(LISTS)]

    def slowly():
        for place, row in enumerate(rows):
            if place == 1:
                time.sleep(0.2)
            yield row

    def attempt(_):
        barrier.wait()
        return loader.add_lists(0, slowly())

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(attempt, range(2)))
    assert [part.rows for part in parts] == [3, 3]
    assert sorted(keeper.users_of(keeper.nights()[0])) == sorted(LISTS)


def test_a_task_that_failed_left_nothing(server):
    keeper = keeper_in(server)
    loader = keeper.loader("first")

    def failing():
        yield ListRow("ann", as_kept(LISTS["ann"]))
        raise RuntimeError("a lost worker")

    with pytest.raises(RuntimeError):
        loader.add_lists(0, failing())
    assert list(keeper.users_of(keeper.nights()[0])) == []
    assert loader.add_lists(0, [ListRow("ann", as_kept(LISTS["ann"]))]).rows == 1


def test_ids_and_texts_of_any_kind_go_in_and_out(server):
    odd = {"tab\tnew\nline\\N": LISTS["ann"], "'; DROP TABLE x; --": LISTS["bob"], "é😀": LISTS["bob"]}
    keeper = keeper_in(server)
    load(keeper, "first", odd)
    store = reader_of(keeper)
    store.refresh()
    assert store.live()["default"].lists(list(odd)) == odd
    store.close()


def test_a_night_that_was_removed_is_said_to_be_and_unfinished_ones_go_with_the_next(server):
    keeper = keeper_in(server)
    first = load(keeper, "first")
    store = reader_of(keeper)
    store.refresh()
    night = store.live()["default"]
    keeper.loader("killed")
    load(keeper, "second", keep=1)
    with pytest.raises(StoreUnavailableError, match="UndefinedTable"):
        night.lists(["ann"])
    assert store.refresh() and store.live()["default"].lists(["ann"])
    assert len(keeper.nights()) == 1 and first not in keeper.kept("default")
    store.close()


def test_of_jobs_that_go_live_at_once_the_latest_turn_stays(server):
    keeper = keeper_in(server)
    turns = [Turn("lease", number) for number in (3, 8, 1, 6, 2, 7, 5, 4)]
    nights = {turn: fill(keeper, night_name(date(2024, 1, 3), turn)) for turn in turns}
    barrier = threading.Barrier(len(turns))

    def attempt(turn):
        barrier.wait()
        try:
            keeper.go_live(nights[turn], len(turns), turn)
        except LeaseLostError:
            return False
        return True

    with ThreadPoolExecutor(len(turns)) as pool:
        went = dict(zip(turns, pool.map(attempt, turns), strict=True))
    assert went[Turn("lease", 8)] and keeper.kept("default")[0] == nights[Turn("lease", 8)]
    store = reader_of(keeper)
    store.refresh()
    assert store.live()["default"].about == nights[Turn("lease", 8)]
    store.close()


def test_a_catalogue_is_copied_for_a_night_that_is_filled_again(server):
    keeper = keeper_in(server)
    first = load(keeper, "first")
    loader = keeper.loader("again")
    parts = [loader.add_lists(0, [ListRow("bob", as_kept(LISTS["bob"]))]), keeper.copy_items(first, "again")]
    about = type(first)("again", "default", first.as_of_date, first.model_version, 1, 1)
    keeper.finish(about, 1, parts)
    keeper.go_live(about, 1)
    store = reader_of(keeper)
    store.refresh()
    night = store.live()["default"]
    assert [item.item_id for item in night.popular(3)] == ["i1", "a/b?c", "i0"] and night.search("creme", 9)
    keeper.remove()
    assert keeper.variants() == []
    store.close()


def test_a_restart_under_load_gives_503_and_is_over_within_five_seconds():
    if why := postgres.why_not():
        pytest.skip(why)
    with postgres.running() as own:
        keeper = PostgresKeeper(own.dsn, "recsys")
        load(keeper, "first")
        statuses, times, stop = [], [], threading.Event()
        with listening(reader_of(keeper), "serve.look_seconds=0.1") as url:

            def ask():
                with Client(url, retries=0, seconds=10.0) as client:
                    while not stop.is_set():
                        try:
                            client.recommendations_of(["ann", "bob"])
                            statuses.append(200)
                        except ServiceError as error:
                            statuses.append(error.status)
                        times.append(time.monotonic())

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            own.stop()
            time.sleep(1.0)
            own.start()
            started = time.monotonic()
            while time.monotonic() - started < 10.0 and (statuses[-20:] != [200] * 20 or times[-20] < started):
                time.sleep(0.05)
            stop.set()
            for thread in threads:
                thread.join()
    assert set(statuses) == {200, 503}
    assert statuses[-20:] == [200] * 20
    last_failed = max(at for at, status in zip(times, statuses, strict=True) if status != 200)
    assert last_failed - started < 5.0
