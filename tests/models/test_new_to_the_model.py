"""Users and items that a model never met: two_tower scores them by what it is told of them, as numpy does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.features.spec import FeatureSpec
from recsys_spark.models import build_model
from recsys_spark.models.users import Users
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.storage import load_manifest, save_folder
from recsys_spark.training.checkpoint import CATALOGUE
from recsys_spark.training.growth import Newer, save_grown
from recsys_spark.training.setup import scoring_of

USERS, ITEMS = 4, 6
ITEM_SIDE = [FeatureSpec("genre", "item", "categorical", 0, 1, 4), FeatureSpec("year", "item", "dense", 0, 1, None)]
USER_SIDE = [FeatureSpec("age", "user", "categorical", 0, 1, 3)]
SETTINGS: dict[str, Any] = {
    "width": 3,
    "length": 4,
    "layers": [5],
    "temperature": 0.5,
    "negatives": 50,
    "positions": 2,
    "history_dropout": 0.3,
    "seed": 1,
}
NEW_ITEMS = Newer(np.array([[3], [0]], np.int32), np.array([[0.7], [np.nan]], np.float32))
NEW_USERS = Newer(np.array([[2]], np.int32), np.empty((1, 0), np.float32))


def made() -> Any:
    """A two_tower of which items 0 to 4 were taken in training, with weights drawn at random."""
    sides = {"item_side": ITEM_SIDE, "user_side": USER_SIDE}
    model = build_model("two_tower", {**SETTINGS, **sides}, USERS, ITEMS)
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    model.learn_counts(np.array([3, 1, 4, 1, 5, 0]))
    model.item_side.fill(
        rng.integers(0, 4, (ITEMS, 1)).astype(np.int32), rng.normal(size=(ITEMS, 1)).astype(np.float32)
    )
    model.user_side.fill(rng.integers(0, 3, (USERS, 1)).astype(np.int32), np.empty((USERS, 0), np.float32))
    return model


def saved(model: Any, location: str) -> None:
    settings = {**SETTINGS, "item_side": [vars(s) for s in ITEM_SIDE], "user_side": [vars(s) for s in USER_SIDE]}
    spec = {"name": "two_tower", "settings": settings, "n_users": USERS, "n_items": ITEMS}
    manifest = {"format": 1, "model_version": "v", "model": spec, "scoring": scoring_of(model)}
    arrays = {f"{n:03d} {v.path}": np.asarray(v) for n, v in enumerate(model.weights)}
    save_folder(location, manifest, {**arrays, CATALOGUE: np.asarray(model.catalogue())})


def by_hand(model: Any, tower: str, inputs: np.ndarray) -> np.ndarray:
    layers = getattr(model, f"{tower}_tower")
    x = np.maximum(inputs @ np.asarray(layers[0][0]) + np.asarray(layers[0][1]), 0)
    x = x @ np.asarray(layers[1][0]) + np.asarray(layers[1][1])
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def weights_of(encoder: Any, name: str) -> np.ndarray:
    return next(np.asarray(weights) for weights in encoder.weights if weights.name == name)


@pytest.fixture
def grown(tmp_path: Path) -> tuple[Any, str, str]:
    model, location, copy = made(), str(tmp_path / "model"), str(tmp_path / "grown")
    saved(model, location)
    save_grown(location, copy, {"item": NEW_ITEMS, "user": NEW_USERS})
    return model, location, copy


def test_newer_items_are_scored_by_their_features(grown: tuple[Any, str, str]) -> None:
    model, location, copy = grown
    genre, year = (weights_of(model.beside_item, name) for name in ("genre", "year"))
    # the mean of both features' vectors; a missing number has a vector of its own
    inputs = np.stack([(genre[3] + np.float32(0.7) * year[0]) / 2, (genre[0] + year[1]) / 2])
    new = by_hand(model, "item", inputs)
    users = Users(np.array([1, 3], np.int32), np.array([[-1, 0, 2, 4], [-1, -1, -1, 1]], np.int32))
    before, after = load_scorer(location), load_scorer(copy)
    assert (before.n_items, after.n_items) == (ITEMS, ITEMS + 2)
    scores = after.all_scores(users)
    np.testing.assert_allclose(scores[:, :ITEMS], before.all_scores(users), rtol=1e-5)
    queries = np.asarray(model.queries({"user": users.idx, "history": users.history}))
    np.testing.assert_allclose(scores[:, ITEMS:], queries @ new.T, rtol=1e-4, atol=1e-5)
    assert "grown_from" in load_manifest(copy)


def test_newer_users_are_scored_by_their_features_with_and_without_a_history(grown: tuple[Any, str, str]) -> None:
    model, location, copy = grown
    age = weights_of(model.beside_user, "age")
    nothing = np.full((1, 4), -1, np.int32)
    newcomer = Users(np.array([USERS], np.int32), nothing)
    assert not load_scorer(location).knows(newcomer)[0]
    scorer = load_scorer(copy)
    assert scorer.knows(newcomer)[0] and not scorer.knows(Users(np.array([USERS + 1], np.int32), nothing))[0]
    query = by_hand(model, "query", np.concatenate([np.zeros((1, 3)), age[[2]]], axis=1)) / SETTINGS["temperature"]
    expected = query @ np.asarray(model.catalogue()).T
    np.testing.assert_allclose(scorer.all_scores(newcomer)[:, :ITEMS], expected, rtol=1e-4, atol=1e-5)
    # what a newcomer did with a new item counts as well
    with_new = Users(np.array([USERS], np.int32), np.array([[-1, -1, -1, ITEMS]], np.int32))
    assert not np.allclose(scorer.all_scores(with_new), scorer.all_scores(newcomer))


def test_a_model_that_never_learnt_without_history_needs_one() -> None:
    sides = {"item_side": ITEM_SIDE, "user_side": USER_SIDE}
    assert not build_model("two_tower", {**SETTINGS, **sides, "history_dropout": 0.0}, USERS, ITEMS).without_history
    assert not build_model("two_tower", {**SETTINGS, "item_side": ITEM_SIDE}, USERS, ITEMS).without_history
    assert scoring_of(build_model("two_tower", SETTINGS, USERS, ITEMS))["from_content"] == []
    assert scoring_of(build_model("gmf", {"gmf_width": 2, "user_side": USER_SIDE}, 2, 2))["from_content"] == []


def test_features_outside_the_vocabulary_are_refused(tmp_path: Path) -> None:
    location = str(tmp_path / "model")
    saved(made(), location)
    strange = Newer(np.array([[4]], np.int32), np.zeros((1, 1), np.float32))
    with pytest.raises(ValueError, match="vocabulary ends at 3"):
        save_grown(location, str(tmp_path / "grown"), {"item": strange})


def test_an_item_that_nobody_took_is_no_negative() -> None:
    model = made()
    window = tf.constant([[-1, 0, 1, 2, 3]])
    with tf.GradientTape() as tape:
        loss = model.training_loss({"user": tf.constant([0]), "window": window}, tf.constant([1, 2], tf.int64))
    touched = tf.convert_to_tensor(tape.gradient(loss, model.items.value)).numpy().any(axis=1)
    assert touched[4] and not touched[5]  # 50 negatives of five items
