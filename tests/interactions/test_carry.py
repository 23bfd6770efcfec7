"""Nights between full trainings: what is carried over, and the rest counted anew, come to what a full run has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from pyspark.sql import functions as F

from recsys_spark import runs
from recsys_spark.config import load_config
from recsys_spark.features import stage as features
from recsys_spark.interactions import stage as index
from recsys_spark.interactions.carry import EarlierRun, by_own_events, earlier_run
from recsys_spark.operations import maintain
from recsys_spark.runs import Run, run_stage
from recsys_spark.schemas import EVENTS
from tests.frames import events

FIRST, SECOND, THIRD = date(2024, 1, 4), date(2024, 1, 5), date(2024, 1, 6)
BEFORE = [
    ("quiet", "i1", 2),
    ("quiet", "i2", 3),
    ("held", "i1", 40),
    ("held", "i3", 60),
    ("late", "i1", 1),
    ("busy", "i2", 70),
]
AFTER = [("busy", "i4", 90), ("new", "i1", 91), ("late", "i2", 4)]  # the last came late: its day was counted already
BY_TIME = ("split.kind=time", "split.validation_days=1", "split.test_days=1")
BY_ORDER = ("split.kind=leave_last_two",)
CAPPED = "interactions.max_user_events=1"
TABLES = ("interactions", "user_features", "item_features", "sequences")


def rows_of(run: Run, name: str, between: str) -> list[str]:
    """The rows of the run's date; where the model is kept, of the production fit alone."""
    rows = run.tables.read(name, {"as_of_date": run.as_of})
    if between == "keep" and "fit" in rows.columns:
        rows = rows.where("fit = 'production'")
    return sorted(map(str, rows.collect()))


class SetBack(datetime):
    """A clock that is a day behind."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) - timedelta(days=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "between", "counted_anew"),
    [
        (BY_TIME, "keep", 3),
        (BY_TIME, "warm", None),
        (BY_ORDER, "keep", 3),
        (BY_ORDER, "warm", None),
        ((*BY_TIME, CAPPED), "keep", 3),
    ],
)
def test_a_night_between_trainings_has_the_rows_of_a_full_one(
    spark, make_run: Callable[..., Run], monkeypatch, split, between, counted_anew
):
    fits = ("examples.fits=[production]",) if between == "keep" else ()

    def night(stage, day, how="full"):
        run = make_run(stage, *split, *fits, as_of=day.isoformat())
        return replace(run, training=how)

    def came_in(rows, number):
        run = make_run("ingest", as_of=FIRST.isoformat())
        rows = events(spark, rows).withColumn("run_id", F.lit(run.run_id))
        rows = rows.withColumn("event_id", F.concat(F.lit(f"{number}-"), "event_id"))
        run_stage(run, lambda of: of.tables.append(EVENTS, rows))

    came_in(BEFORE, 1)
    for stage, of in (("index", index), ("features", features)):
        run_stage(night(stage, FIRST), of.run)
    with monkeypatch.context() as patched:
        patched.setattr(runs, "datetime", SetBack)  # when the rest comes in
        came_in(AFTER, 2)
    for day, anew in ((SECOND, counted_anew), *([(THIRD, 0)] if CAPPED in split else [])):  # the third has no events
        found = {}
        if day == THIRD:  # upkeep leaves the second night's slices alone
            kept = make_run("maintain", "maintain.keep_slices=1")
            run_stage(kept, maintain.run)
            assert kept.counts["slices_dropped"] == len(TABLES)
        for how in (between, "full"):
            said = []
            for stage, of in (("index", index), ("features", features)):
                run = night(stage, day, how)
                run_stage(run, of.run)
                said += run.notes
            assert ("carried over" in " ".join(said)) == (how != "full")
            assert ("had more than 1 events" in " ".join(said)) == (CAPPED in split)
            if how != "full":
                assert anew in (None, run.counts["users_counted_anew"])
            found[how] = {name: rows_of(run, name, between) for name in TABLES}
        assert found[between] == found["full"]
        assert len([row for row in found["full"]["sequences"] if "production" in row]) == 5


@pytest.mark.slow
def test_a_slice_that_was_dropped_or_that_another_run_began_to_write_is_not_carried_over(
    spark, make_run: Callable[..., Run]
):
    first = make_run("ingest", as_of=FIRST.isoformat())
    rows = events(spark, BEFORE).withColumn("run_id", F.lit(first.run_id))
    run_stage(first, lambda of: of.tables.append(EVENTS, rows))
    run_stage(make_run("index", as_of=FIRST.isoformat()), index.run)
    second = make_run("index", as_of=SECOND.isoformat())
    meaning = ("interactions", "split")
    found = earlier_run(second, "interactions", *meaning)
    assert found == EarlierRun(FIRST, first.tables.versions_written["events"])
    dropped = make_run("maintain")
    dropped.tables.delete("interactions", F.col("as_of_date") == FIRST)
    assert earlier_run(make_run("index", as_of=SECOND.isoformat()), "interactions", *meaning) is None
    run_stage(make_run("index", as_of=FIRST.isoformat()), index.run)
    assert earlier_run(make_run("index", as_of=SECOND.isoformat()), "interactions", *meaning) == found
    other = make_run("index", "interactions.positive_types=[none]", as_of=FIRST.isoformat())
    index.run(other)  # killed: it leaves no row in `runs`
    assert earlier_run(make_run("index", as_of=SECOND.isoformat()), "interactions", *meaning) is None


@pytest.mark.parametrize(
    ("settings", "by_own"),
    [
        (["split.kind=time"], True),
        (["split.kind=leave_last_one"], True),
        (["split.kind=random"], True),
        (["split.kind=given"], False),
        (["split.kind=time", "interactions.min_item_users=5"], False),
        (["split.kind=time", "split.cold_item_share=0.1"], False),
    ],
)
def test_which_splits_go_by_a_users_own_events(settings, by_own):
    assert by_own_events(load_config(settings=settings)) is by_own
