"""The world of tests/evaluate with a model that scores as its matrix says, in an artifact as training leaves one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from recsys_spark import schemas, storage
from recsys_spark.config import load_config
from recsys_spark.runs import Run
from tests.evaluate.conftest import AS_OF, NOON, SCORES, SETTINGS, World

VERSION = "gmf-20240131-evaluate-abc"
HISTORY = [
    {
        "number": n,
        "loss": loss,
        "seconds": 1.0,
        "samples": 10,
        "validation": {"loss": loss + 0.1, "hr@10": hr, "ndcg@10": hr / 2},
    }
    for n, loss, hr in ((1, 0.9, 0.4), (2, 0.5, 0.6))
]
TITLES = ["Alpha", "Beta <b>", "Gamma\tray", "Delta", "Epsilon", "Zeta"]
CATEGORIES = ["Drama|War", "Drama", "Comedy", "Comedy", None, "</script><script>"]


def save_artifact(
    folder: str, version: str = VERSION, fit: str = "evaluate", vectors: np.ndarray | None = None
) -> None:
    """GMF whose item vectors are the unit vectors, so that a user's vector is the row of scores."""
    scores = np.array(SCORES, np.float32)
    manifest = {
        "format": 1,
        "model_version": version,
        "as_of_date": AS_OF.isoformat(),
        "fit": fit,
        "model": {"name": "gmf", "settings": {"gmf_width": 6, "seed": 1}, "n_users": 3, "n_items": 6},
        "scoring": {"by": "index", "history": 0, "logits": True},
        "training": {"validation": "sampled"},
        "history": HISTORY,
        "best_epoch": 2,
        "parameters": 61,
        "training_seconds": 2.0,
        "run_id": "r0",
    }
    arrays = {
        "000 gmf/user_gmf": scores,
        "001 gmf/item_gmf": np.eye(6, dtype=np.float32) if vectors is None else vectors,
        "002 gmf/output_gmf": np.ones(6, np.float32),
        "003 gmf/output_bias": np.zeros((), np.float32),
    }
    storage.save_folder(folder, manifest, arrays)


def add_trained(world: World, version: str = VERSION, fit: str = "evaluate", of: str = "") -> str:
    """Enter the model in `models`, and say what is known of users and items."""
    path = str(world.folder / version)
    save_artifact(path, version, fit)
    world.append(schemas.MODELS, [(version, "gmf", AS_OF, fit, path, of or version, None, 2, 0.3, "hash", NOON, "r0")])
    return path


def describe(world: World) -> None:
    world.append(
        schemas.ITEM_ATTRIBUTES,
        [
            (f"i{n}", title, category, None, None, None, {}, NOON, "r0")
            for n, (title, category) in enumerate(zip(TITLES, CATEGORIES, strict=True))
        ],
    )
    world.append(schemas.USER_ATTRIBUTES, [(f"u{n}", gender, None, {}, NOON, "r0") for n, gender in enumerate("FMFM")])


def report_run(world: World, *settings: str, version: str | None = None, as_of: date | None = None) -> Run:
    mine = ["model.name=gmf", "training.folding_users=1", "report.k=2", *settings]
    run = Run("report", world.spark, load_config(settings=[*SETTINGS, *mine]), world.root, "test", as_of)
    run.options = {"model_version": version}
    return run


def report_folder(world: World, version: str = VERSION) -> Path:
    return Path(world.root) / "reports" / "training" / version
