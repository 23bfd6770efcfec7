"""Features of the context through the stages: two users in two stores, and a test day that nothing is learnt from."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.errors import UserError
from recsys_spark.examples import stage as examples
from recsys_spark.features import stage as features
from recsys_spark.features.contexts import knowledge, learnt_of, of_context, packed, values_of_users
from recsys_spark.interactions import stage as index
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS
from tests.frames import START

# user, item, hours since Monday 2024-01-01, store; the train part ends after 72
TAKEN = [
    ("a", "i1", 9, "north"),
    ("a", "i2", 9, "north"),
    ("a", "i1", 57, "south"),
    ("b", "i3", 20, "north"),
    ("b", "i1", 32, None),
    ("a", "i3", 93, "east"),
    ("b", "i2", 81, "north"),
]
HOUR = {"name": "hour", "of": "context", "kind": "categorical", "source": "hour"}
WEEKDAY = {"name": "day", "of": "context", "kind": "dense", "source": "weekday"}
STORE = {"name": "store", "of": "context", "kind": "categorical", "source": "context.store"}
RECENCY = {"name": "recency", "of": "context", "kind": "dense", "source": "recency_days"}
FREQUENCY = {"name": "frequency", "of": "context", "kind": "dense", "source": "frequency"}
SPLIT = ["split.kind=time", "split.validation_days=1", "split.test_days=1", "split.repeats=true"]


@pytest.fixture
def make(spark: SparkSession, make_run: Callable[..., Run]) -> Callable[..., Run]:
    """`make(HOUR, ...)`: a run of a root with the events, indexed, that declares these."""
    made: list[Run] = []

    def declaring(*declared: dict[str, Any], settings: tuple[str, ...] = ()) -> Run:
        run = make_run(
            "features", *SPLIT, "examples.fits=[evaluate]", f"features.declared={json.dumps(declared)}", *settings
        )
        if not made:
            rows = [
                (
                    f"e{n}",
                    user,
                    item,
                    START + timedelta(hours=hours),
                    "buy",
                    1.0,
                    n,
                    store and {"store": store},
                    "hand",
                    "t",
                )
                for n, (user, item, hours, store) in enumerate(TAKEN)
            ]
            run.tables.append(EVENTS, spark.createDataFrame(rows, EVENTS.schema))
            index.run(run)
        made.append(run)
        return run

    return declaring


def test_each_event_is_encoded_as_of_its_own_time(make):
    run = make(HOUR, WEEKDAY, STORE, RECENCY, FREQUENCY)
    features.run(run)
    rows = run.tables.read("event_contexts", {"as_of_date": run.as_of, "fit": "evaluate"}).orderBy(
        "user_idx", "position"
    )
    found = {}
    for row in rows.collect():
        words = np.frombuffer(row.context, "<i4")
        found[row.user_idx, row.position] = (row.part, words[:2].tolist(), words[2:].view("<f4"))

    # train events have the hours 9, 9, 9, 20, 8 and the stores north (3), south (1) and none
    hours, stores = {9: 2, 8: 4, 20: 3}, {"north": 2, "south": 3}
    assert [found[0, n][:2] for n in (1, 2, 3, 4)] == [
        ("train", [hours[9], stores["north"]]),
        ("train", [hours[9], stores["north"]]),
        ("train", [hours[9], stores["south"]]),
        ("test", [1, 1]),  # the hour 21 and the store east are of the test day alone
    ]
    assert [found[1, n][1] for n in (1, 2)] == [[hours[20], stores["north"]], [hours[8], 0]]
    days, counts = np.array([1, 1, 3, 1, 2]), np.array([0, 0, 2, 0, 1])  # the same basket does not count
    for column, values in ((0, days), (2, counts)):
        standardised = (values - values.mean()) / values.std()
        numbers = [found[key][2][column] for key in ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2))]
        np.testing.assert_allclose(numbers, standardised, rtol=1e-6)
    recency = [found[key][2][1] for key in ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2))]
    np.testing.assert_allclose(recency, [np.nan, np.nan, 1.0, np.nan, -1.0], rtol=1e-6)  # 2 and half a day
    mean, std = 1.25, 0.75
    np.testing.assert_allclose(found[0, 4][2][1], (1.5 - mean) / std, rtol=1e-6)


def test_pairs_carry_the_context_of_their_own_event(make):
    run = make(HOUR, STORE, settings=("examples.positives=events", "examples.negatives=1", "examples.draws=1"))
    features.run(run)
    examples.run(run)
    rows = run.tables.read("train_examples", {"as_of_date": run.as_of, "fit": "evaluate"})
    found = sorted((row.user_idx, row.item_idx, *np.frombuffer(row.context, "<i4").tolist()) for row in rows.collect())
    assert found == [(0, 0, 2, 2), (0, 0, 2, 3), (0, 1, 2, 2), (1, 0, 4, 0), (1, 2, 3, 2)]


def test_windows_carry_the_context_of_each_next_item(make):
    settings = ("examples.kinds=[sequences]", "examples.window=3")
    run = make(HOUR, STORE, settings=settings)
    features.run(run)
    examples.run(run)
    rows = run.tables.read("train_sequences", {"as_of_date": run.as_of, "fit": "evaluate"}).collect()
    found = {row.user_idx: np.frombuffer(row.context, "<i4").reshape(3, 2).tolist() for row in rows}
    assert found == {0: [[0, 0], [2, 2], [2, 3]], 1: [[0, 0], [0, 0], [4, 0]]}


def test_at_scoring_the_given_context_and_the_users_own_recency(make, spark):
    run = make(HOUR, WEEKDAY, STORE, RECENCY)
    features.run(run)
    learnt = learnt_of(json.loads(json.dumps(knowledge(run, "evaluate"))))
    declared = of_context(run.config.features)
    users = spark.createDataFrame([(0, START + timedelta(hours=57))], "user_idx int, event_time timestamp")
    users = users.withColumn("frequency", F.lit(3))
    given = {"hour": 20, "context.store": "south", "weekday": 1}
    row = users.transform(values_of_users(declared, given, run.as_of)).transform(packed(learnt, ["user_idx"])).head()
    words = np.frombuffer(row.context, "<i4")
    assert words[:2].tolist() == [3, 3]
    days = np.array([1, 1, 3, 1, 2])
    until_midnight = (96 - 57) / 24  # the date ends 96 hours after the start
    expected = [(1 - days.mean()) / days.std(), (until_midnight - 1.25) / 0.75]
    np.testing.assert_allclose(words[2:].view("<f4"), expected, rtol=1e-6)
    row = users.transform(values_of_users(declared, {}, run.as_of)).transform(packed(learnt, ["user_idx"])).head()
    assert np.frombuffer(row.context, "<i4")[:2].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({**STORE, "source": "shop"}, "feature `store`: no context has a source `shop`; .* hour, weekday, month"),
        ({**STORE, "source": "context.shop"}, "feature `store`: `context.shop` has no value for any of the 5 events"),
    ],
)
def test_a_source_that_the_events_lack_is_named(make, declared, message):
    run = make(declared)
    with pytest.raises(UserError, match=message):
        features.run(run)
    assert not run.tables.exists("event_contexts")


def test_a_text_of_the_context_is_refused_and_what_nobody_declared_is_not_given(make):
    with pytest.raises(UserError, match="features of the context are categorical or dense; declare store as one"):
        make({**STORE, "kind": "text"})
    run = make(STORE)
    with pytest.raises(UserError, match=r"recommend.context gives `hour`, but no feature .* there is context.store"):
        values_of_users(of_context(run.config.features), {"hour": 3}, run.as_of)
