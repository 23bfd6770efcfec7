"""A checkerboard to learn: even users take even items, odd users odd ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_spark.config import load_config
from recsys_spark.files import LiveFile
from recsys_spark.training.job import Job, ModelSpec

USERS, ITEMS = 24, 20


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """`make_job("training.epochs=3", ...)`: a job over four files of one draw, and held-out lists."""
    rng = np.random.default_rng(0)
    positives = [(u, i) for u in range(USERS) for i in range(u % 2, ITEMS, 2) if (u + i) % 7]
    rows = [(u, i, *rng.choice(np.arange(1 - u % 2, ITEMS, 2), 2)) for u, i in positives] * 4
    rows = rng.permutation(np.array(rows, dtype=np.int32))
    columns = ["user_idx", "item_idx", "negative_1", "negative_2"]
    files = []
    for number, part in enumerate(np.array_split(rows, 4)):
        path = tmp_path / f"part-{number}.parquet"
        pq.write_table(pa.table({name: part[:, place] for place, name in enumerate(columns)}), path)
        files.append(LiveFile(str(path), len(part)))
    held = [
        (u, next(i for i in range(u % 2, ITEMS, 2) if (u + i) % 7 == 0)) for u in range(USERS) if (u % 7) in (0, 2, 4)
    ]
    lists = {
        "user_idx": pa.array([u for u, _ in held], pa.int32()),
        "targets": pa.array([[i] for _, i in held], pa.list_(pa.int32())),
        "values": pa.array([[5.0] for _ in held], pa.list_(pa.float64())),
        "candidates": pa.array([list(range(1 - u % 2, ITEMS, 2)) for u, _ in held], pa.list_(pa.int32())),
    }
    pq.write_table(pa.table(lists), tmp_path / "held-out.parquet")

    def make(*settings: str, checkpoint: str = "checkpoint", **changes: object) -> Job:
        small = ["training.batch_rows=64", "training.learning_rate=0.02", "training.epochs=6", "examples.negatives=2"]
        sizes = ["model.neumf.gmf_width=4", "model.neumf.mlp_width=4", "model.neumf.mlp_layers=[8, 4]"]
        config = load_config(settings=[*small, *sizes, *settings])
        job = {
            "title": "test",
            "model": ModelSpec("neumf", config.model.neumf.arguments() | {"seed": 1}, USERS, ITEMS),
            "training": config.training,
            "kind": "pairs",
            "negatives": 2,
            "window": 8,
            "draws": (tuple(files),),
            "validation": (LiveFile(str(tmp_path / "held-out.parquet"), len(held)),),
            "epochs": config.training.epochs,
            "seed": 1,
            "checkpoint": str(tmp_path / checkpoint),
            "identity": "same",
            "learning_rate": config.training.learning_rate,
        }
        return Job(**(job | changes))  # type: ignore[arg-type]

    return make
