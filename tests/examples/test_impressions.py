"""A log of impressions through the stage and into a training: two train days, one of validation, one of test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark import storage
from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.examples import stage as examples
from recsys_spark.interactions import stage as index
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS, ITEMS, USERS
from recsys_spark.training.assemble import job_of
from recsys_spark.training.distributed import OneRank
from recsys_spark.training.loop import fit
from tests.frames import START

pytestmark = pytest.mark.slow

SETTINGS = [
    *("split.kind=time", "split.validation_days=1", "split.test_days=1", "interactions.positive_min_value=1"),
    *("examples.fits=[evaluate,production]", "examples.kinds=[impressions]", "examples.positions_kept=2"),
    *("examples.impression_types=[shown]", "examples.position_key=place"),
]
LOG = [  # user, item, hour, type, value, place
    ("a", "i1", 0, "shown", 1.0, "1"),
    ("a", "i2", 0, "shown", 0.0, " 2 "),
    ("a", "i3", 1, "shown", None, "3"),
    ("b", "i1", 2, "shown", 0.0, "2"),
    ("b", "i2", 2, "shown", 1.0, "1"),
    ("b", "i3", 3, "shown", 0.0, None),
    ("b", "i1", 4, "purchase", 5.0, None),
    ("a", "i3", 50, "shown", 1.0, "9"),
    ("b", "i3", 75, "shown", 1.0, "1"),
]
FIRST, SECOND, UNKNOWN, MISSING = 2, 3, 1, 0


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of both stages, made once."""
    run = Run("examples", spark, load_config(settings=SETTINGS), str(tmp_path_factory.mktemp("shown") / "root"), "test")
    rows = [
        (f"e{n}", user, item, START + timedelta(hours=hour), kind, value, n, place and {"place": place}, "hand", "r0")
        for n, (user, item, hour, kind, value, place) in enumerate(LOG)
    ]
    run.tables.append(EVENTS, spark.createDataFrame(rows, EVENTS.schema))
    index.run(run)
    examples.run(run)
    return run


@pytest.fixture
def make(made: Run, make_run: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """`make("train", ...)`: a run on a copy, with these settings too."""
    shutil.copytree(made.root, tmp_path / "root")
    return lambda stage, *settings: make_run(stage, *SETTINGS, *settings)


def written(run: Run, table: str, fit: str, *columns: str) -> list[tuple[object, ...]]:
    rows = run.tables.read(table, {"as_of_date": run.as_of, "fit": fit}).select(*columns).collect()
    return sorted(map(tuple, rows))


def test_impressions_clicked_or_not_with_positions_that_the_fits_parts_taught(made):
    columns = ("user_idx", "item_idx", "clicked", "shown_at")
    trained = [(0, 0, 1, FIRST), (0, 1, 0, SECOND), (0, 2, 0, UNKNOWN), (1, 0, 0, SECOND), (1, 1, 1, FIRST)]
    trained.append((1, 2, 0, MISSING))
    assert written(made, "train_impressions", "evaluate", *columns) == trained
    later = [(0, 2, 1, UNKNOWN), (1, 2, 1, FIRST)]
    assert written(made, "train_impressions", "production", *columns) == sorted(trained + later)
    assert made.counts["impressions_evaluate"] == 6 and made.counts["clicks_evaluate"] == 2

    counted = written(
        made, "shown_positions", "evaluate", "shown_at", "position", "impressions", "clicks", "propensity"
    )
    assert counted == [
        (MISSING, None, 1, 0, 0.0),
        (UNKNOWN, None, 1, 0, 0.0),
        (FIRST, "1", 2, 2, 1.0),
        (SECOND, "2", 2, 0, 0.0),
    ]


def test_a_log_of_clicks_alone_is_refused(make):
    with pytest.raises(UserError, match=r"of 1 impressions in the evaluate fit 1 count as clicked.*impression_types"):
        examples.run(make("examples", "examples.impression_types=[purchase]"))


def test_a_pair_converts_by_an_event_in_the_fits_parts(make):
    bought = examples._conversions(make("examples", "examples.conversion_types=[purchase]"), "evaluate")
    assert [tuple(pair) for pair in bought.collect()] == [(1, 0)]
    assert examples._conversions(make("examples"), "evaluate") is None


def test_they_train_a_model_and_its_tower(make):
    settings = ["model.name=matrix_factorization", "model.matrix_factorization.loss_name=clicks"]
    settings += ["model.matrix_factorization.width=4", "training.position=tower", "training.epochs=2"]
    job = job_of(make("train", *settings), "evaluate", "v", "matrix_factorization", (), None)
    assert job.model.settings["clicks"] == {
        "position": "tower",
        "codes": 4,
        "dropout": 0.1,
        "propensities": [0.05, 0.05, 1.0, 0.05],  # those without a click count as the least
    }
    outcome = fit(job, OneRank())
    assert outcome.error == "" and [epoch.samples for epoch in outcome.history] == [6, 6]
    assert "ndcg@10" in outcome.history[0].validation
    names = {name.rpartition("/")[2] for name in storage.load_arrays(outcome.weights)}
    assert {"users", "items", "position_tower"} <= names


def test_a_training_goes_on_after_another_run_has_taken_the_lease_but_not_with_other_examples(make):
    settings = ["model.name=matrix_factorization", "model.matrix_factorization.loss_name=clicks"]

    def identity():
        return job_of(make("train", *settings), "evaluate", "v", "matrix_factorization", (), None).identity

    before = identity()
    for table in (USERS, ITEMS):
        make("train").tables.fence(table, 7)  # as whoever takes a dead holder's lease leaves it
    assert identity() == before
    examples.run(make("examples"))
    assert identity() != before
