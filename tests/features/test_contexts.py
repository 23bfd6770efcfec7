"""Features of the context through the stages: two users in two stores, and a test day that nothing is learnt from."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import Row, SparkSession

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.examples import stage as examples
from recsys_spark.features import stage as features
from recsys_spark.features.context_sources import of_context, values_of_events, values_of_users
from recsys_spark.features.contexts import packed
from recsys_spark.features.knowledge import knowledge, learnt_of
from recsys_spark.interactions import stage as index
from recsys_spark.models import build_model
from recsys_spark.models.users import Users
from recsys_spark.recommend.eligible import in_context
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS
from recsys_spark.settings import Fit
from tests.frames import START
from tests.models.test_context import saved
from tests.models.test_contract import ITEMS, LENGTH, USERS, chosen_of, randomly_weighted

# user, item, hours since Monday 2024-01-01, store; the train part ends after 48
TAKEN = [
    ("a", "i1", 9, "north"),
    ("a", "i2", 9, "north"),
    ("a", "i1", 45, "south"),
    ("b", "i3", 20, "north"),
    ("b", "i1", 32, None),
    ("a", "i3", 94, "east"),
    ("b", "i2", 81, "north"),
    ("c", "i4", 50, "north"),  # which leaves the others an item to be a negative
]
HOUR = {"name": "hour", "of": "context", "kind": "categorical", "source": "hour"}
WEEKDAY = {"name": "day", "of": "context", "kind": "dense", "source": "weekday"}
STORE = {"name": "store", "of": "context", "kind": "categorical", "source": "context.store"}
RECENCY = {"name": "recency", "of": "context", "kind": "dense", "source": "recency_days"}
FREQUENCY = {"name": "frequency", "of": "context", "kind": "dense", "source": "frequency"}
ALL = (HOUR, WEEKDAY, STORE, RECENCY, FREQUENCY)
TRAIN = ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2))  # user and place of the train events
DAYS, COUNTS = np.array([1, 1, 2, 1, 2]), np.array([0, 0, 2, 0, 1])  # the same basket does not count
SETTINGS = [
    "split.kind=time", "split.validation_days=1", "split.test_days=1", "split.repeats=true",
    "examples.fits=[evaluate]", "examples.kinds=[pairs, sequences]", "examples.window=3",
    "examples.positives=events", "examples.negatives=1", "examples.draws=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def declare(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """`declare(HOUR, ...)`: a run of one root, with the events indexed, that declares these."""
    root = str(tmp_path_factory.mktemp("contexts") / "root")

    def run_of(*declared: dict[str, Any]) -> Run:
        settings = [*SETTINGS, f"features.declared={json.dumps(declared)}"]
        return Run("features", spark, load_config(settings=settings), root, "test")

    run = run_of()
    rows = [
        (f"e{n}", user, item, START + timedelta(hours=hours), "buy", 1.0, n, store and {"store": store}, "hand", "t")
        for n, (user, item, hours, store) in enumerate(TAKEN)
    ]
    run.tables.append(EVENTS, spark.createDataFrame(rows, EVENTS.schema))
    index.run(run)
    return run_of


@pytest.fixture(scope="module")
def made(declare: Callable[..., Run]) -> Run:
    """The features and examples of all declarations."""
    run = declare(*ALL)
    features.run(run)
    examples.run(run)
    return run


def rows_of(run: Run, table: str) -> list[Row]:
    return run.tables.read(table, {"as_of_date": run.as_of, "fit": "evaluate"}).collect()


def codes_of(packed: bytes) -> list[int]:
    """The hour's code and the store's."""
    return np.frombuffer(packed, "<i4")[:2].tolist()


def numbers_of(packed: bytes) -> Any:
    """Weekday, recency and frequency."""
    return np.frombuffer(packed, "<i4")[2:].view("<f4")


def test_each_event_is_encoded_as_of_its_own_time(made: Run) -> None:
    found = {(row.user_idx, row.position): row for row in rows_of(made, "event_contexts")}
    # train events have the hours 9, 9, 21, 20, 8 and the stores north (3), south (1) and none
    assert [codes_of(found[key].context) for key in TRAIN] == [[2, 2], [2, 2], [4, 3], [3, 2], [5, 0]]
    assert codes_of(found[0, 4].context) == [1, 1]  # the hour 22 and the store east are of the test day alone
    assert [found[key].part for key in (*TRAIN, (0, 4))] == [*["train"] * 5, "test"]
    numbers = np.array([numbers_of(found[key].context) for key in TRAIN])
    np.testing.assert_allclose(numbers[:, 0], (DAYS - DAYS.mean()) / DAYS.std(), rtol=1e-6)
    np.testing.assert_allclose(numbers[:, 2], (COUNTS - COUNTS.mean()) / COUNTS.std(), rtol=1e-6)
    np.testing.assert_allclose(numbers[:, 1], [np.nan, np.nan, 1.0, np.nan, -1.0], rtol=1e-6)  # 36 hours and 12
    np.testing.assert_allclose(numbers_of(found[0, 4].context)[1], (49 / 24 - 1.0) / 0.5, rtol=1e-6)


def test_pairs_carry_the_context_of_their_own_event(made: Run) -> None:
    found = sorted((row.user_idx, row.item_idx, *codes_of(row.context)) for row in rows_of(made, "train_examples"))
    assert found == [(0, 0, 2, 2), (0, 0, 4, 3), (0, 1, 2, 2), (1, 0, 5, 0), (1, 2, 3, 2)]


def test_windows_carry_the_context_of_each_next_item(made: Run) -> None:
    found = {row.user_idx: np.frombuffer(row.context, "<i4").reshape(3, 5) for row in rows_of(made, "train_sequences")}
    assert found[0][:, :2].tolist() == [[0, 0], [2, 2], [4, 3]]
    assert found[1][:, :2].tolist() == [[0, 0], [0, 0], [5, 0]]


def test_at_scoring_the_given_context_and_the_users_own_recency(made: Run) -> None:
    learnt = learnt_of(json.loads(json.dumps(knowledge(made, "evaluate", ("context",)))))
    declared = of_context(made.config.features)
    row = [(0, START + timedelta(hours=57), 3)]
    users = made.spark.createDataFrame(row, "user_idx int, event_time timestamp, frequency int")

    def encoded(**given: Any) -> bytes:
        named = {name.replace("_", "."): value for name, value in given.items()}
        known = users.transform(values_of_users(declared, named, made.as_of)).transform(packed(learnt, ["user_idx"]))
        return bytes(known.collect()[0].context)

    context = encoded(hour=20, context_store="south", weekday=1)
    assert codes_of(context) == [3, 3]
    expected = [(1 - DAYS.mean()) / DAYS.std(), ((96 - 57) / 24 - 1.0) / 0.5, (3 - COUNTS.mean()) / COUNTS.std()]
    np.testing.assert_allclose(numbers_of(context), expected, rtol=1e-6)
    assert codes_of(encoded()) == [0, 0]
    with pytest.raises(UserError, match=r"recommend.context gives `month`, but no feature .* there is context.store"):
        encoded(month=3)


def test_lists_are_of_the_context_that_they_are_made_for(made: Run, tmp_path: Path) -> None:
    """From the configuration by way of `in_context` to the lists of an artifact's scorer."""
    known, n_users = json.loads(json.dumps(knowledge(made, "evaluate", ("context",)))), 6
    side = {"context_side": [one.spec for one in learnt_of(known)], "bar_window": False, "length": LENGTH}
    settings = chosen_of("gru4rec").arguments() | side
    model = randomly_weighted(build_model("gru4rec", settings, USERS, ITEMS), spread=1.0)
    scorer = saved("gru4rec", model, settings, str(tmp_path / "artifact"))
    history = np.random.default_rng(1).integers(0, ITEMS, (n_users, LENGTH)).astype(np.int32)
    users = made.spark.range(n_users).selectExpr("cast(id as int) as user_idx")
    features = users.selectExpr("user_idx", "timestamp '2024-01-03 09:00:00' as last_time", "3 as events")

    def lists(given: dict[str, Any]) -> Any:
        config = load_config(
            settings=[*SETTINGS, f"features.declared={json.dumps(ALL)}", f"recommend.context={json.dumps(given)}"]
        )
        run = Run("recommend", made.spark, config, made.root, "test", made.as_of)
        rows = users.transform(in_context(run, features, known)).orderBy("user_idx").collect()
        contexts = np.stack([np.frombuffer(row.context, "<i4") for row in rows])
        return scorer.top_n(Users(np.arange(n_users, dtype=np.int32), history, contexts), 5, None)[0]

    north, south = lists({"context.store": "north"}), lists({"context.store": "south"})
    assert (north != south).any(axis=1).mean() > 0.5
    np.testing.assert_array_equal(lists({"context.store": "north"}), north)
    assert (lists({"context.store": "north", "hour": 9}) != north).any()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("shop", "feature `store`: no context has a source `shop`; .* hour, weekday, month"),
        ("context.shop", "feature `store`: `context.shop` has no value for any of the 5 events"),
    ],
)
def test_a_source_that_the_events_lack_is_named(declare: Callable[..., Run], source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        features.run(declare({**STORE, "source": source}))


def test_a_text_of_the_context_is_refused(declare: Callable[..., Run]) -> None:
    with pytest.raises(UserError, match="features of the context are categorical or dense; declare store as one"):
        declare({**STORE, "kind": "text"})


def test_a_fit_counts_what_it_may_know_where_held_out_events_lie_between(spark: SparkSession) -> None:
    # a user's events by the hour, cut by chance; two of one second are one basket
    parts = ["train", "test", "validation", "train", "train", "test", "train"]
    seconds = [0, 3600, 7200, 10800, 10800.4, 14400, 18000]
    rows = [
        (0, START + timedelta(seconds=at), part, n) for n, (at, part) in enumerate(zip(seconds, parts, strict=True))
    ]
    events = spark.createDataFrame(rows, "user_idx int, event_time timestamp, part string, n int")
    declared = of_context(load_config(settings=[f"features.declared={json.dumps([RECENCY, FREQUENCY])}"]).features)

    def of(fit: Fit) -> list[tuple[float | None, int]]:
        found = events.transform(values_of_events(declared, fit)).orderBy("n").collect()
        hours = [None if row.value_recency is None else round(row.value_recency * 24, 3) for row in found]
        return list(zip(hours, [row.value_frequency for row in found], strict=True))

    assert of("evaluate") == [(None, 0), (1, 1), (2, 1), (3, 1), (3, 1), (1, 4), (2, 3)]
    assert of("refit") == [(None, 0), (1, 1), (2, 1), (1, 2), (1, 2), (1, 4), (2, 4)]
    assert of("production") == [(None, 0), (1, 1), (1, 2), (1, 3), (1, 3), (1, 5), (1, 6)]
