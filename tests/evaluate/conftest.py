"""A world of four users and six items whose every figure can be worked out by hand."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark import cloudpickle
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark import schemas
from recsys_spark.config import load_config
from recsys_spark.runs import Run
from tests.evaluate import matrix_scorer

AS_OF = date(2024, 1, 31)
NAN = float("nan")
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)

# what the evaluate fit scores: users 0..2 x items 0..5; user 3 is unknown to it
SCORES = [
    [9.0, 8.0, 3.0, 5.0, 4.0, 1.0],
    [9.0, 8.0, 7.0, 1.0, 2.0, 1.5],
    [9.0, 1.0, 8.0, 7.0, 2.0, 6.0],
]
TRAIN = {0: [0, 1], 1: [0, 1], 2: [0, 2, 3]}
VALIDATION = {0: [2], 1: [4]}
TEST = {0: [3], 1: [2], 2: [4], 3: [0]}
# by (user, item); the other pairs have no value
TRAIN_VALUES = {(0, 0): 5.0, (0, 1): 3.0, (1, 0): 4.0, (1, 1): 1.0, (2, 0): 5.0, (2, 2): 2.0}
TEST_VALUES = {(0, 3): 4.0, (1, 2): 1.0, (3, 0): 5.0}
CANDIDATES = {
    "validation": {0: [5], 1: [3]},
    "test": {0: [4, 5], 1: [3, 5], 2: [1, 5], 3: [1, 4]},
}
SETTINGS = [
    "run.shuffle_partitions=2",
    "dataset=tiny",
    "evaluate.ks=[1, 2]",
    "evaluate.light_user_events=2",
    "evaluate.head_share=0.5",
    "examples.negatives=2",
]

# the workers do not import the tests
cloudpickle.register_pickle_by_value(matrix_scorer)


class World:
    """Runs of the evaluate stage over the tiny tables below one root."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder, self.root = spark, folder, str(folder / "root")
        self._metrics: dict[tuple[Any, ...], Any] | None = None

    def copied(self, folder: Path) -> World:
        """Another world with the same tables, in a folder of its own."""
        shutil.copytree(self.root, folder / "root")
        return World(self.spark, folder)

    def run(self, *settings: str, as_of: date = AS_OF) -> Run:
        return Run("evaluate", self.spark, load_config(settings=[*SETTINGS, *settings]), self.root, "test", as_of)

    def append(self, table: schemas.Table, rows: list[tuple[Any, ...]]) -> None:
        """Rows into a Delta table without Spark, which takes a second for each."""
        named = [dict(zip(table.schema.names, row, strict=True)) for row in rows]
        arrow = pa.Table.from_pylist(named, schema=to_arrow_schema(table.schema))
        write_deltalake(f"{self.root}/{table.name}", arrow, mode="append", partition_by=list(table.partitioned_by))

    def add_model(
        self, version: str, fit: str, scores: list[list[float]], created: datetime = NOON, of: str = ""
    ) -> None:
        """Enter a model that scores as the matrix says; a refit is vouched for by the evaluate fit `of`."""
        path = str(self.folder / version)
        matrix_scorer.save(path, scores)
        self.append(schemas.MODELS, [(version, "neumf", AS_OF, fit, path, of, None, 1, 0.0, "hash", created, "r0")])

    def evaluate(self, *settings: str) -> Run:
        from recsys_spark.evaluate.stage import evaluate

        run = self.run(*settings)
        evaluate(run, matrix_scorer.load)
        self._metrics = None
        return run

    def metrics(self) -> dict[tuple[Any, ...], Any]:
        """The date's rows by (model, protocol, split, segment, metric, k)."""
        if self._metrics is None:
            table = self.spark.read.format("delta").load(f"{self.root}/metrics")
            rows = [row for row in table.collect() if row.as_of_date == AS_OF]
            keys = ("model_version", "protocol", "split", "segment", "metric", "k")
            self._metrics = {tuple(row[key] for key in keys): row for row in rows}
            assert len(self._metrics) == len(rows)
        return self._metrics


def make_world(spark: SparkSession, folder: Path) -> World:
    world = World(spark, folder)
    world.append(schemas.USERS, [(f"u{user}", user, "r0") for user in range(4)])
    world.append(schemas.ITEMS, [(f"i{item}", item, "r0") for item in range(6)])
    parts = (TRAIN, VALIDATION, TEST)
    pairs = {(user, item): [0, 0, 0] for part in parts for user in part for item in part[user]}
    for nth, part in enumerate(parts):
        for user, items in part.items():
            for item in items:
                pairs[user, item][nth] = 1
    world.append(
        schemas.INTERACTIONS,
        [
            (AS_OF, *pair, 1, 1, *counts, NOON, NOON, None, TRAIN_VALUES.get(pair), None, TEST_VALUES.get(pair))
            for pair, counts in pairs.items()
        ],
    )
    world.append(
        schemas.USER_FEATURES,
        [(AS_OF, "evaluate", user, len(items), len(items), NOON, NOON, None, None) for user, items in TRAIN.items()],
    )
    world.append(
        schemas.ITEM_FEATURES,
        [(AS_OF, "evaluate", item, users, users, NOON, NOON, None) for item, users in {0: 3, 1: 2, 2: 1, 3: 1}.items()],
    )
    world.append(
        schemas.SEQUENCES,
        [
            (AS_OF, fit, user, items, [0] * len(items), len(items))
            for fit, histories in (("evaluate", TRAIN), ("refit", {0: [0, 1, 2], 1: [0, 1, 4], 2: [0, 2, 3]}))
            for user, items in histories.items()
        ],
    )
    world.append(
        schemas.train_examples(2),
        [
            (AS_OF, "evaluate", 0, 0, 0, 5.0, NAN, None, 4, 5),
            (AS_OF, "evaluate", 0, 2, 2, 2.0, NAN, None, 1, 4),
            (AS_OF, "evaluate", 1, 0, 0, 5.0, NAN, None, 5, 3),
        ],
    )
    world.append(
        schemas.EVAL_EXAMPLES,
        [
            (AS_OF, part, user, items, [values.get((user, item)) for item in items], CANDIDATES[part][user])
            for part, targets, values in (("validation", VALIDATION, {}), ("test", TEST, TEST_VALUES))
            for user, items in targets.items()
        ],
    )
    return world


@pytest.fixture(scope="session")
def tables_by_hand(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The tables, written once; tests work on copies."""
    return make_world(spark, tmp_path_factory.mktemp("tables"))


@pytest.fixture
def world(tables_by_hand: World, tmp_path: Path) -> World:
    return tables_by_hand.copied(tmp_path)


@pytest.fixture(scope="session")
def evaluated(tables_by_hand: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Run]:
    """The world after one evaluation of a model and its refit, for tests that only look."""
    world = tables_by_hand.copied(tmp_path_factory.mktemp("evaluated"))
    world.add_model("m1", "evaluate", SCORES)
    world.add_model("m1-refit", "refit", [*SCORES, [0.0, 5.0, 0.0, 0.0, 6.0, 0.0]], of="m1")
    return world, world.evaluate()
