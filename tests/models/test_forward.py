"""What numpy makes of a saved model's weights is what Keras makes of them, user by user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_spark.features.spec import FeatureSpec
from recsys_spark.models import build_model
from recsys_spark.models.forward import EXPORTED, INPUTS, Forward, Side, folded, weights_of
from recsys_spark.models.users import Users, history_of
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.storage import load_arrays, save_folder
from recsys_spark.training.checkpoint import CATALOGUE
from recsys_spark.training.setup import scoring_of

USERS, ITEMS, LENGTH = 5, 11, 6
ITEM_SIDE = [FeatureSpec("genres", "item", "multi_hot", 0, 2, 5), FeatureSpec("words", "item", "text", 0, 3, None)]
USER_SIDE = [FeatureSpec("age", "user", "categorical", 0, 1, 4), FeatureSpec("income", "user", "dense", 0, 1, None)]
CONTEXT_SIDE = [
    FeatureSpec("hour", "context", "categorical", 0, 1, 6),
    FeatureSpec("recency", "context", "dense", 0, 1, None),
]
SETTINGS: dict[str, dict[str, Any]] = {
    "two_tower": {"layers": [7], "temperature": 0.3},
    "softmax_dnn": {"layers": [7, 5]},
    "sasrec": {"blocks": 2, "heads": 2, "expansion": 2},
    "gru4rec": {"units": 3, "layers": 2},
}
HISTORIES = [[3], [0, 1, 1], [10, 9, 8, 7, 6, 5, 4, 10], [2, 2], []]


def saved(
    name: str, repeats: bool, location: str, n_users: int = USERS, n_items: int = ITEMS, **told: Any
) -> dict[str, Any]:
    """A model of random weights and features, as training leaves it; `told` goes into its manifest."""
    settings: dict[str, Any] = {"width": 4, "length": LENGTH, "seed": 1, **SETTINGS[name]}
    settings |= {"item_side": ITEM_SIDE, "context_side": CONTEXT_SIDE}
    settings |= {"user_side": USER_SIDE} if name in ("two_tower", "softmax_dnn") else {}
    settings |= {} if name == "two_tower" else {"repeats": repeats, "loss_name": "sampled_softmax", "negatives": 4}
    model = build_model(name, settings, n_users, n_items)
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    if name == "two_tower":
        model.learn_counts(np.arange(n_items))
    sides = ((model.item_side, n_items, 5, 2, 3), (model.user_side, n_users, 4, 1, 1))
    for side, rows, codes, slots, places in sides:
        if side is not None:
            numbers = rng.normal(size=(rows, places)).astype(np.float32)
            numbers[0] = np.nan
            side.fill(rng.integers(-1, codes, (rows, slots)).astype(np.int32), numbers)
    plain = {key: [vars(one) for one in value] if key.endswith("_side") else value for key, value in settings.items()}
    spec = {"name": name, "settings": plain, "n_users": n_users, "n_items": n_items}
    arrays = {f"{place:03d} {one.path}": np.asarray(one) for place, one in enumerate(model.weights)}
    manifest = {"format": 1, "model_version": name, "model": spec, "scoring": scoring_of(model)} | told
    save_folder(location, manifest, {**arrays, CATALOGUE: np.asarray(model.catalogue())})
    return plain


def context_of(user: int) -> np.ndarray:
    return np.array([[user], np.array([0.1 * user - 0.2], np.float32).view(np.int32)], np.int32).ravel()


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("name", EXPORTED)
def test_scores_are_those_of_the_keras_model(name: str, repeats: bool, tmp_path: Path) -> None:
    if name == "two_tower" and repeats:
        pytest.skip("two_tower has no repeats")
    location = str(tmp_path / name)
    settings = saved(name, repeats, location)
    arrays = load_arrays(location)
    weights = weights_of({key: array for key, array in arrays.items() if key != CATALOGUE})
    own = folded(settings, weights)
    assert not any("user_side" in key or "item" in key for key in own) and own[INPUTS].shape == (ITEMS, 4)
    forward = Forward(name, settings, own)
    scorer = load_scorer(location)
    empty = name in ("two_tower", "softmax_dnn")  # the others know nobody without a history
    for user, items in enumerate(HISTORIES if empty else HISTORIES[:-1]):
        # the last of them is not known to the model, and no context is given
        known = user < 3
        context = context_of(user) if known else None
        index = np.array([user if known else USERS], np.int32)
        of_one = Users(index, history_of(items, LENGTH), None if context is None else context[None])
        expected = scorer.all_scores(of_one)[0]
        side = Side(weights["user_side/codes"][user], weights["user_side/numbers"][user]) if known and empty else None
        history = np.array(items, np.int32)
        scores = arrays[CATALOGUE] @ forward.query(history, side, context)
        copied, joined = forward.own(history, scores)
        scores[copied] = joined
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
        assert bool(len(copied)) == (repeats and bool(items))


def test_a_model_without_such_queries_is_refused() -> None:
    with pytest.raises(ValueError, match="din retrieves by no history, expected one of two_tower"):
        Forward("din", {}, {})
