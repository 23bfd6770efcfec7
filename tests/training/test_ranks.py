"""Two Horovod ranks over examples that are not pairs: what they exchange, draw and end with."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_spark import storage
from recsys_spark.files import LiveFile
from recsys_spark.training import loop
from recsys_spark.training.distributed import launch
from recsys_spark.training.job import Job, ModelSpec
from tests.training.conftest import ITEMS, USERS

LENGTH = 5
SETTINGS = ("training.ranks=2", "training.patience=0", "training.epochs=3", "training.batch_rows=20")


@pytest.fixture(autouse=True)
def ranks_know_this_module() -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])


def written(folder: Path, name: str, table: pa.Table, files: int) -> tuple[LiveFile, ...]:
    places = np.array_split(np.arange(table.num_rows), files)
    for number, rows in enumerate(places):
        pq.write_table(table.take(pa.array(rows)), folder / f"{name}-{number}.parquet")
    return tuple(LiveFile(str(folder / f"{name}-{number}.parquet"), len(rows)) for number, rows in enumerate(places))


def fit_and_note_draws(job: Job, ranks: Any) -> tuple[Any, list[int]]:
    """The outcome, and a number for the negatives of each rank's first two steps."""
    import tensorflow as tf

    from recsys_spark.models.sequence import SequenceModel

    numbers: list[int] = []
    draw = SequenceModel._draw

    def noted(self: Any, rows: Any, seed: Any) -> Any:
        items = draw(self, rows, seed)
        tf.py_function(lambda drawn: numbers.append(zlib.crc32(drawn.numpy().tobytes())), [items], [])
        return items

    SequenceModel._draw = noted  # type: ignore[method-assign]
    outcome = loop.fit(job, ranks)
    return outcome, [*ranks.gathered(numbers[0]), *ranks.gathered(numbers[1])]


@pytest.mark.slow
def test_two_ranks_on_sequences_draw_negatives_of_their_own(spark: Any, make_job: Callable[..., Job], tmp_path: Path):
    rows = [(u, (2 * start + u % 2 + 2 * np.arange(LENGTH + 1)) % ITEMS) for u in range(USERS) for start in range(10)]
    packed = [window.astype("<i4").tobytes() for _, window in rows]
    windows = pa.table({"user_idx": pa.array([u for u, _ in rows], pa.int32()), "window": packed})
    latest = [((u % 2 + 2 * np.arange(LENGTH)) % ITEMS).tolist() for u in range(USERS)]
    histories = pa.table(
        {"user_idx": pa.array(range(USERS), pa.int32()), "items": pa.array(latest, pa.list_(pa.int32()))}
    )
    model = {"width": 8, "units": 8, "length": LENGTH, "loss_name": "sampled_softmax", "negatives": 8, "seed": 1}
    job = make_job(
        *SETTINGS,
        model=ModelSpec("gru4rec", model, USERS, ITEMS),
        kind="sequences",
        window=LENGTH,
        draws=(written(tmp_path, "windows", windows, 4),),
        histories=written(tmp_path, "histories", histories, 1),
    )
    outcome, draws = launch(spark, 2, partial(fit_and_note_draws, job), threads=1)
    assert outcome.error == ""  # the loop itself compares the ranks' weights after every epoch
    assert outcome.history[-1].loss < 0.9 * outcome.history[0].loss
    assert outcome.history[0].samples == 2 * 6 * 20  # 120 windows a rank: 6 steps of 20
    assert 0 < outcome.history[-1].validation["ndcg@10"] <= 1
    assert len(set(draws)) == 4  # other negatives on each rank, and in each step
    assert storage.load_arrays(outcome.weights)["catalogue"].shape == (ITEMS, 8)


@pytest.mark.slow
def test_two_ranks_on_ratings_agree_on_weights_and_batch_norm(spark: Any, make_job: Callable[..., Job], tmp_path: Path):
    pairs = np.random.default_rng(0).permutation([(u, i) for u in range(USERS) for i in range(ITEMS)])
    values = 1.0 + 4.0 * ((pairs[:, 0] + pairs[:, 1]) % 2)
    columns = {"user_idx": pairs[:, 0].astype(np.int32), "item_idx": pairs[:, 1].astype(np.int32), "value": values}
    model = {"width": 4, "layers": [8], "objective": "explicit", "mean_value": 3.0, "seed": 1}
    job = make_job(
        *SETTINGS,
        model=ModelSpec("embedding_mlp", model, USERS, ITEMS),
        kind="ratings",
        draws=(written(tmp_path, "ratings", pa.table(columns), 4),),
    )
    outcome = launch(spark, 2, partial(loop.fit, job), threads=1)
    assert outcome.error == ""  # the weights compared hold moving means and variances, which no gradient moves
    assert outcome.history[-1].loss < outcome.history[0].loss < 5.0
    assert outcome.history[0].samples == 480
    assert set(outcome.history[-1].validation) == {"rmse"}


@pytest.mark.slow
def test_two_ranks_on_rated_pairs_learn_three_tasks(spark: Any, make_job: Callable[..., Job], tmp_path: Path):
    columns = _checkerboard_columns()
    columns |= {"negative_1": 1 - columns["item_idx"] % 2 + 2 * (columns["item_idx"] // 2)}
    columns |= {"value": 1.0 + columns["item_idx"] % 4, "converted": (columns["item_idx"] < 4).astype(float)}
    model = {
        "width": 4,
        "experts": 2,
        "units": 8,
        "tower": 4,
        "mean_value": 2.5,
        "std_value": 1.0,
        "conversions": True,
        "seed": 1,
    }
    job = make_job(
        *SETTINGS,
        model=ModelSpec("multitask", model, USERS, ITEMS),
        kind="rated_pairs",
        negatives=1,
        draws=(written(tmp_path, "rated", pa.table(_as_fed(columns)), 4),),
    )
    outcome = launch(spark, 2, partial(loop.fit, job), threads=1)
    assert outcome.error == ""
    assert outcome.history[-1].loss < outcome.history[0].loss
    assert outcome.history[0].samples == 2 * 240  # a positive and its negative


@pytest.mark.slow
def test_two_ranks_on_impressions_learn_where_things_were_shown(
    spark: Any, make_job: Callable[..., Job], tmp_path: Path
):
    columns = _checkerboard_columns()
    shown = {**columns, "item_idx": (columns["item_idx"] + np.arange(240) % 2) % ITEMS}
    shown |= {"clicked": (shown["item_idx"] + shown["user_idx"]) % 2 == 0, "shown_at": np.arange(240) % 3}
    clicks = {"position": "tower", "codes": 3}
    model = {"width": 4, "loss_name": "clicks", "seed": 1, "clicks": clicks}
    job = make_job(
        *SETTINGS,
        model=ModelSpec("matrix_factorization", model, USERS, ITEMS),
        kind="impressions",
        draws=(written(tmp_path, "shown", pa.table(_as_fed(shown)), 4),),
    )
    outcome = launch(spark, 2, partial(loop.fit, job), threads=1)
    assert outcome.error == ""
    assert outcome.history[-1].loss < outcome.history[0].loss
    assert outcome.history[0].samples == 240


def _checkerboard_columns() -> dict[str, Any]:
    """Each of the users with the half of the items that is its own, in a shuffled order: 240 rows."""
    pairs = np.array([(u, i) for u in range(USERS) for i in range(u % 2, ITEMS, 2)])
    pairs = np.random.default_rng(0).permutation(pairs)
    return {"user_idx": pairs[:, 0], "item_idx": pairs[:, 1]}


def _as_fed(columns: dict[str, Any]) -> dict[str, Any]:
    floats = ("value", "converted")
    return {name: pa.array(rows, pa.float32() if name in floats else pa.int32()) for name, rows in columns.items()}
