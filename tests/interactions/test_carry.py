"""Nights that keep their model: what is carried over, and the rest counted anew, come to what a full run has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from pyspark.sql import functions as F

from recsys_spark.config import load_config
from recsys_spark.features import stage as features
from recsys_spark.interactions import stage as index
from recsys_spark.interactions.carry import moved_days
from recsys_spark.runs import Run, run_stage
from recsys_spark.schemas import EVENTS
from tests.frames import events

FIRST, SECOND = date(2024, 1, 4), date(2024, 1, 5)
HOURS = 24
BEFORE = [
    ("quiet", "i1", 2),
    ("quiet", "i2", 3),
    ("held", "i1", 40),
    ("held", "i3", 60),
    ("late", "i1", 1),
    ("busy", "i2", 70),
]
AFTER = [("busy", "i4", 90), ("new", "i1", 91), ("late", "i2", 4)]  # the last came late: its day was counted already
OF_FIT = {"fit": "production"}
TABLES = {"interactions": {}, "user_features": OF_FIT, "item_features": OF_FIT, "sequences": OF_FIT}


@pytest.mark.slow
@pytest.mark.parametrize(
    "split", [("split.kind=time", "split.validation_days=1", "split.test_days=1"), ("split.kind=leave_last_two",)]
)
def test_a_night_that_keeps_its_model_has_the_rows_of_a_full_one(spark, make_run: Callable[..., Run], split):
    def night(stage, day, how="full"):
        run = make_run(stage, *split, "examples.fits=[production]", as_of=day.isoformat())
        return replace(run, training=how)

    def came_in(rows, number):
        run = make_run("ingest", as_of=FIRST.isoformat())
        rows = events(spark, rows).withColumn("run_id", F.lit(run.run_id))
        rows = rows.withColumn("event_id", F.concat(F.lit(f"{number}-"), "event_id"))
        run_stage(run, lambda of: of.tables.append(EVENTS, rows))

    came_in(BEFORE, 1)
    for stage, of in (("index", index), ("features", features)):
        run_stage(night(stage, FIRST), of.run)
    came_in(AFTER, 2)
    found = {}
    for how in ("keep", "full"):
        said = []
        for stage, of in (("index", index), ("features", features)):
            run = night(stage, SECOND, how)
            run_stage(run, of.run)
            said += run.notes
        assert any("carried over" in note for note in said) == (how == "keep")
        if how == "keep":
            assert run.counts["users_who_acted"] == 3
        found[how] = {
            name: sorted(map(str, run.tables.read(name, {"as_of_date": SECOND, **where}).collect()))
            for name, where in TABLES.items()
        }
    assert found["keep"] == found["full"]
    assert len(found["full"]["sequences"]) == 5


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        (["split.kind=time", "split.validation_days=7", "split.test_days=14"], 21),
        (["split.kind=leave_last_one"], 0),
        (["split.kind=random"], 0),
        (["split.kind=given"], None),
        (["split.kind=time", "interactions.min_item_users=5"], None),
        (["split.kind=time", "split.cold_item_share=0.1"], None),
    ],
)
def test_how_far_back_a_split_moves(settings, days):
    assert moved_days(load_config(settings=settings)) == days
