"""Publish, rollback and forgetting fill the store with what the tables hold."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from recsys_spark.errors import LeaseLostError, UserError
from recsys_spark.forget.check import _in_database
from recsys_spark.forget.held import marks
from recsys_spark.forget.people import people_of
from recsys_spark.lease import Lease
from recsys_spark.publish import rollback
from recsys_spark.publish.stage import move
from recsys_spark.runs import run_stage
from recsys_spark.schemas import ITEM_ATTRIBUTES, ITEM_FEATURES, ITEMS, RECOMMENDATIONS, RECOMMENDATIONS_CURRENT
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.fill import Filled, filled, filled_again, kept_night
from recsys_spark.serving.opening import store_of
from recsys_spark.serving.store import Entry, shard_of
from recsys_spark.suppression import keyed_hash
from recsys_spark.tables import Tables

DAY, NEXT = date(2024, 1, 3), date(2024, 1, 4)
USERS = [f"user {number}" for number in range(23)] + ["é/ü", "'; --", "😀"]
OF_B = ["user 7", "user 9"]
KEY = b"a key of sixteen"


def entries(user: str, start: int) -> list[Entry]:
    """Three items, the last because of the first."""
    items = [f"i{(start + len(user) + place) % 5}" for place in range(3)]
    return [
        Entry(item, 0.5 - place / 4, "co_occurrence" if place == 2 else "model", items[0] if place == 2 else None)
        for place, item in enumerate(items)
    ]


def rows_of(day: date, start: int, variant: str = "default", users=USERS):
    """Lists of three, in no order."""
    return [
        (day, variant, user, rank, *entry, ["model"], 1.0, f"model of {day}", "test")
        for rank in (3, 1, 2)
        for user in reversed(users)
        for entry in [entries(user, start)[rank - 1]]
    ]


@pytest.fixture(scope="module")
def written(spark, tmp_path_factory) -> Path:
    """A root with the lists of two days, six items, and what is known of them."""
    root = tmp_path_factory.mktemp("written") / "root"
    tables = Tables(spark, str(root))
    lists = [*rows_of(DAY, 0), *rows_of(NEXT, 1), *rows_of(NEXT, 2, "b", OF_B)]
    features = [(day, "production", n, 10, 9 - n, None, None, None) for n in range(4) for day in (DAY, NEXT)]
    unknown = [None] * (len(ITEM_ATTRIBUTES.schema) - 2)
    for table, rows in (
        (RECOMMENDATIONS, lists),
        (ITEMS, [(f"i{n}", n, "test") for n in range(6)]),
        (ITEM_ATTRIBUTES, [(f"i{n}", f"Title {n}", *unknown) for n in range(5)]),
        (ITEM_FEATURES, features),
    ):
        tables.append(table, spark.createDataFrame(rows, table.schema))
    return root


@pytest.fixture
def make_day(written, make_run, tmp_path):
    """A run of a date over a root of its own, in which nothing is published yet."""
    shutil.copytree(written, tmp_path / "root")

    def make(day: date, *settings: str):
        return make_run("publish", "publish.champion=false", "store.lists_per_file=5", *settings, as_of=day.isoformat())

    return make


def where(day: date, variant: str = "default"):
    return {"as_of_date": day, "variant": variant}


def fill(run, variant: str = "default"):
    night = filled(run, where(run.as_of, variant), f"model of {run.as_of}")
    night.go_live(run)
    return night.about


def publish(run):
    """As the stage leaves it, less its gates."""
    run_stage(run, lambda run: move(run, where(run.as_of), f"model of {run.as_of}"))


def night_of(run, variant: str = "default"):
    store = EmbeddedStore(f"{run.artifacts}/store")
    store.refresh()
    return store.live()[variant]


def test_the_store_holds_what_the_live_table_holds(make_day):
    run = make_day(DAY)
    move(run, where(DAY), "a model")
    night = night_of(run)
    live = run.tables.read("recommendations_current").sort("user_id", "rank").collect()
    fields = ("item_id", "score", "reason_code", "reason_item_id")
    expected = {user: [tuple(row[name] for name in fields) for row in live if row["user_id"] == user] for user in USERS}
    assert night.lists(USERS) == expected
    assert expected["user 1"] == entries("user 1", 0)
    about = (night.about.as_of_date, night.about.model_version, night.about.users, night.about.variant)
    assert about == (DAY, "a model", len(USERS), "default") and run.counts["lists_in_store"] == len(USERS)
    files = list(Path(run.artifacts, "store", night.about.name).glob("lists-*.sqlite"))
    assert len(files) == len({shard_of(user, 6) for user in USERS})  # of 26 lists, 5 a file
    assert night.items(["i0", "i5"]) == {
        "i0": ("i0", "Title 0", None, None, None, None, 9),
        "i5": ("i5", None, None, None, None, None, 0),
    }
    assert [item.item_id for item in night.popular(9)] == ["i0", "i1", "i2", "i3", "i4"]  # i5 is in no list


def live_day(run):
    return [row[0] for row in run.tables.at_version("recommendations_current", run.tables.version("recommendations_current"))
            .select("as_of_date").distinct().collect()]  # fmt: skip


def test_a_night_that_is_kept_is_gone_back_to_unless_its_lists_were_written_since(make_day, spark):
    run = make_day(DAY)
    publish(run)
    before = night_of(run).about
    publish(make_day(NEXT))
    after = night_of(run).about
    assert night_of(run).lists(["user 1"]) == {"user 1": entries("user 1", 1)} and live_day(run) == [NEXT]
    rollback.run(make_day(DAY))
    assert night_of(run).about == before and night_of(run).lists(["user 1"]) == {"user 1": entries("user 1", 0)}
    assert live_day(run) == [DAY]
    again = spark.createDataFrame(rows_of(DAY, 2), RECOMMENDATIONS.schema)
    run.tables.replace(RECOMMENDATIONS, again, where(DAY))
    assert kept_night(make_day(DAY), where(DAY)) is None
    assert kept_night(make_day(NEXT), where(NEXT)).about == after
    with pytest.raises(UserError, match="were made again since they were live"):
        rollback.run(make_day(DAY))


def test_a_job_that_is_taken_over_between_table_and_store_leaves_the_others_night_live(make_day, spark, monkeypatch):
    def under(lease, day):
        return replace(make_day(day), turn=lease.turn)

    first, second = (Lease(spark, make_day(DAY).root, name, 600) for name in ("one", "two"))
    with first:
        pass  # it seemed to be dead, so that the second has the lease
    go_live = Filled.go_live

    def after_a_pause(night, run):
        monkeypatch.setattr(Filled, "go_live", go_live)
        with second:
            other = under(second, NEXT)
            move(other, where(NEXT), "the second's model")
        go_live(night, run)

    monkeypatch.setattr(Filled, "go_live", after_a_pause)
    run = under(first, DAY)
    with pytest.raises(LeaseLostError, match="another run took the lease of"):
        move(run, where(DAY), "the first's model")
    about = night_of(run).about
    assert (about.as_of_date, about.model_version) == (NEXT, "the second's model") and live_day(run) == [NEXT]


def test_lists_that_were_never_live_are_not_put_back(make_day):
    with pytest.raises(UserError, match=r"were never live\. jobs/publish\.py --as-of 2024-01-03"):
        rollback.run(make_day(DAY))
    publish(make_day(NEXT))
    with pytest.raises(UserError, match="variant default, were never live"):
        rollback.run(make_day(DAY))


def test_who_is_forgotten_is_in_no_file_of_the_store(make_day):
    fill(make_day(DAY))
    run = make_day(NEXT)
    before, gone = fill(run), "user 7"
    fill(make_day(NEXT), "b")
    left = run.tables.read("recommendations", {"as_of_date": NEXT}).where(F.col("user_id") != gone)
    run.tables.append(RECOMMENDATIONS_CURRENT, left)
    forget = make_day(NEXT)
    assert filled_again(forget) == len(USERS) - 1 + len(OF_B) - 1
    night = night_of(run)
    assert night_of(run, "b").lists(OF_B) == {"user 9": entries("user 9", 2)}
    assert night.about.name != before.name and night.about.model_version == before.model_version
    assert night.lists([gone, "user 8"]) == {"user 8": entries("user 8", 1)}
    assert night.popular(1)[0].title == "Title 0"
    held = set().union(*(marks(str(file), ["user_id"], KEY) for file in Path(run.artifacts, "store").rglob("*")))
    assert held == {keyed_hash(KEY, user) for user in USERS if user != gone}
    off = make_day(NEXT, "store.kind=none")
    assert filled(off, where(NEXT), "a model") is None
    assert filled_again(off) == 0 and not Path(run.artifacts, "store").exists()


def test_workers_load_postgresql_and_who_is_forgotten_is_not_in_it(make_day, server, monkeypatch):
    monkeypatch.setenv("RECSYS_STORE_DSN", server.dsn)
    settings = ("store.kind=postgres", "store.database_schema=filled_by_workers")
    run = make_day(DAY, *settings)
    fill(run)
    store = store_of(run.config, run.artifacts)
    store.refresh()
    night = store.live()["default"]
    assert night.lists(USERS) == {user: entries(user, 0) for user in USERS}
    assert [item.item_id for item in night.popular(9)] == ["i0", "i1", "i2", "i3", "i4"]
    gone = "user 7"
    left = run.tables.read("recommendations", where(DAY)).where(F.col("user_id") != gone)
    run.tables.append(RECOMMENDATIONS_CURRENT, left)
    check = make_day(DAY, *settings)
    check.options = {"user_id": [gone, "nobody"], "table": None, "column": "user_id"}
    with people_of(check, KEY) as people:
        (found,) = _in_database(check, people)
        assert found.startswith("store: 1 lists of night ")
        assert filled_again(make_day(DAY, *settings)) == len(USERS) - 1
        assert _in_database(check, people) == []
    store.refresh()
    assert store.live()["default"].lists([gone, "user 8"]) == {"user 8": entries("user 8", 0)}
    store.close()


def test_a_store_that_cannot_be_filled_publishes_nothing(make_day, monkeypatch):
    monkeypatch.setattr("recsys_spark.serving.embedded_files.EmbeddedKeeper.finish", refuse)
    run = make_day(DAY)
    with pytest.raises(UserError, match="no room"):
        move(run, where(DAY), "a model")
    assert not run.tables.exists("recommendations_current")
    assert EmbeddedStore(f"{run.artifacts}/store").refresh() is False


def refuse(*_):
    raise UserError("no room")
