"""Clocks that jump: what a run takes for its date, and which model is the newest."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from recsys_spark.errors import UserError
from recsys_spark.schemas import EVENTS, MODELS
from recsys_spark.training.stage import _entered_at
from tests.frames import START, events

FAR = (datetime(2999, 1, 1, tzinfo=UTC) - START) // timedelta(hours=1)


def test_events_of_a_clock_that_was_ahead_do_not_move_the_date(spark, make_run):
    run = make_run("index")
    run.tables.append(EVENTS, events(spark, [("a", "i1", FAR)]))
    with pytest.raises(UserError, match=r"has no event up to 20\d\d-\d\d-\d\d.*this machine's clock"):
        _ = run.as_of
    run.tables.append(EVENTS, events(spark, [("a", "i1", 5), ("b", "i1", 30)]))
    assert run.as_of == date(2024, 1, 2)
    meant = make_run("index", "ingest.latest=2999-12-31")
    assert meant.as_of == date(2999, 1, 1)


def test_a_model_is_entered_after_those_that_are_there(spark, make_run):
    run = make_run("train")
    before = datetime.now(UTC)
    assert before <= _entered_at(run) <= datetime.now(UTC)
    ahead = datetime(2999, 1, 1, 0, 0, 0, 7, tzinfo=UTC)
    model = dict.fromkeys(MODELS.schema.names) | {"model_version": "m", "created_at": ahead}
    run.tables.append(MODELS, spark.createDataFrame([tuple(model.values())], MODELS.schema))
    assert _entered_at(run) == ahead.replace(microsecond=8)
