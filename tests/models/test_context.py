"""Models in context: who takes even items at one hour takes odd ones at the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.config import load_config
from recsys_spark.features.spec import FeatureSpec
from recsys_spark.models import build_model
from recsys_spark.models.users import Users
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.storage import save_folder
from recsys_spark.training.checkpoint import CATALOGUE
from recsys_spark.training.optimizers import Adam, make_step
from recsys_spark.training.setup import scoring_of
from tests.models.test_contract import ITEMS, LENGTH, SMALL, USERS

HOURS = FeatureSpec("hour", "context", "categorical", 0, 1, 4)
AGO = FeatureSpec("recency", "context", "dense", 0, 1, None)
TAKING = ["neumf", "gmf", "mlp", "softmax_dnn", "two_tower", "gru4rec", "sasrec"]
ROWS = 32


def made(name: str) -> tuple[Any, dict[str, Any]]:
    chosen = load_config(settings=[f"model.name={name}"]).model.chosen
    assert "context" in chosen.features_of
    settings = chosen.arguments() | SMALL[name] | {"seed": 3, "context_side": [HOURS, AGO]}
    settings |= {"length": LENGTH} if chosen.examples == "sequences" else {}
    settings |= {"bar_window": False} if "bar_window" in settings else {}
    return build_model(name, settings, USERS, ITEMS), settings


def contexts(hours: Any) -> Any:
    """(...,) codes of hours -> (..., 2), with a recency of 0.5."""
    ago = np.full(np.shape(hours), 0.5, np.float32).view(np.int32)
    return np.stack([np.asarray(hours, np.int32), ago], axis=-1)


def batch_of(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    users = rng.integers(0, USERS, ROWS).astype(np.int32)
    if kind == "sequences":
        hours = rng.integers(2, 4, (ROWS, LENGTH + 1))
        window = (2 * rng.integers(0, ITEMS // 2, hours.shape) + hours % 2).astype(np.int32)
        return {"user": users, "window": window, "context": contexts(hours[:, 1:])}
    hours = rng.integers(2, 4, ROWS)
    items = (2 * rng.integers(0, ITEMS // 2, (ROWS, 3)) + hours[:, None] % 2).astype(np.int32)
    items[:, 1:] ^= 1
    return {"user": users, "items": items, "context": contexts(hours)}


@pytest.mark.parametrize("name", TAKING)
def test_it_learns_what_the_hour_decides(name: str, tmp_path: Any) -> None:
    model, settings = made(name)
    optimizer = Adam(0.02)
    optimizer.build(model.trainable_variables)
    step = tf.function(make_step(model, optimizer), autograph=False)
    rng = np.random.default_rng(1)
    for number in range(300):
        step(batch_of(model.examples, rng), tf.constant([7, number], tf.int64))

    users = np.arange(8, dtype=np.int32)
    history = rng.integers(0, ITEMS, (8, LENGTH)).astype(np.int32)
    items = np.tile(np.arange(ITEMS, dtype=np.int32), (8, 1))
    hours = np.arange(8) % 2 + 2
    batch = {"user": users, "history": history, "items": items, "context": contexts(hours)}
    scores = np.asarray(model(batch))
    own = (items + hours[:, None]) % 2 == 0
    better = scores[own].reshape(8, -1)[:, :, None] > scores[~own].reshape(8, -1)[:, None]
    assert better.mean() > 0.9

    again = type(model).from_config(model.get_config())
    assert again.context_side == model.context_side
    scorer = saved(name, model, settings, str(tmp_path / "artifact"))
    known = Users(users, history if model.reads_history else history[:, :0], batch["context"])
    np.testing.assert_allclose(scorer.scores(known, items), scores, rtol=1e-4, atol=1e-5)
    # without a context the scores are those of the model's own vectors
    none = {**batch, "context": np.full((8, 2), -1, np.int32)}
    without = scorer.scores(Users(known.idx, known.history), items)
    np.testing.assert_allclose(without, model(none), rtol=1e-4, atol=1e-5)
    assert np.isfinite(without).all() and np.abs(without - scores).max() > 0.1


def saved(name: str, model: Any, settings: dict[str, Any], folder: str) -> Any:
    spec = {"name": name, "settings": model.get_config(), "n_users": USERS, "n_items": ITEMS}
    spec["settings"] = {key: spec["settings"][key] for key in settings}
    arrays = {f"{n:03d} {v.path}": np.asarray(v) for n, v in enumerate(model.weights)}
    arrays |= {CATALOGUE: np.asarray(model.catalogue())} if model.retrieves else {}
    save_folder(folder, {"format": 1, "model_version": "v", "model": spec, "scoring": dict(scoring_of(model))}, arrays)
    return load_scorer(folder)
