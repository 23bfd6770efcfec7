"""NeuMF against hand-computed logits, an independent numpy form, finite differences and a checkerboard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.features.spec import FeatureSpec
from recsys_spark.models import NeuMF, binary_cross_entropy, build_model
from recsys_spark.models.halves import Halves
from recsys_spark.training.optimizers import Adam, make_step

SMALL = {"gmf_width": 3, "mlp_width": 4, "mlp_layers": (6, 5)}
USERS, ITEMS = 7, 11


def small_model(**settings: Any) -> NeuMF:
    """A model whose weights are large enough for every part of it to matter."""
    model = NeuMF(USERS, ITEMS, **{**SMALL, **settings})
    model.build()
    rng = np.random.default_rng(5)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0.0, 0.5, variable.shape))
    return model


def batch(rows: int, candidates: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    users = rng.integers(0, USERS, rows).astype(np.int32)
    return {"user": users, "items": rng.integers(0, ITEMS, (rows, candidates)).astype(np.int32)}


def plain_logits(weights: dict[str, Any], users: Any, items: Any) -> Any:
    """The paper's form: embeddings put together, pair by pair, through ordinary dense layers, in double precision."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    logits = np.zeros(items.shape)
    for row, user in enumerate(users):
        for column, item in enumerate(items[row]):
            last = []
            if "user_gmf" in w:
                last.append(w["user_gmf"][user] * w["item_gmf"][item])
            if "user_mlp" in w:
                hidden = np.concatenate([w["user_mlp"][user], w["item_mlp"][item]])
                first = np.concatenate([w["user_kernel"], w["item_kernel"]])
                hidden = np.maximum(hidden @ first + w["first_bias"], 0.0)
                for layer in range(2, 9):
                    if f"hidden_kernel_{layer}" in w:
                        hidden = hidden @ w[f"hidden_kernel_{layer}"] + w[f"hidden_bias_{layer}"]
                        hidden = np.maximum(hidden, 0.0)
                last.append(hidden)
            output = [w[name].ravel() for name in ("output_gmf", "output_mlp") if name in w]
            logits[row, column] = np.concatenate(last) @ np.concatenate(output) + w["output_bias"]
    return logits


def test_logits_by_hand() -> None:
    model = NeuMF(1, 2, gmf_width=2, mlp_width=1, mlp_layers=(2, 1))
    model.build()
    by_name = {
        "user_gmf": [[1.0, 2.0]],
        "item_gmf": [[3.0, -1.0], [0.5, 0.5]],
        "output_gmf": [2.0, 1.0],
        "user_mlp": [[1.0]],
        "item_mlp": [[2.0], [-3.0]],
        "user_kernel": [[1.0, -1.0]],
        "item_kernel": [[1.0, 2.0]],
        "first_bias": [0.5, 0.0],
        "hidden_kernel_2": [[2.0], [1.0]],
        "hidden_bias_2": [-1.0],
        "output_mlp": [[10.0]],
        "output_bias": 0.25,
    }
    assert {variable.name for variable in model.trainable_variables} == set(by_name)
    for variable in model.trainable_variables:
        variable.assign(np.array(by_name[variable.name]))
    # item 0: 2*3*1 + 1*2*(-1) = 4; relu(1+2+.5, -1+4) = (3.5, 3); relu(7+3-1) = 9, times 10; 4 + 90 + .25
    # item 1: 2*.5 + 1*1 = 2; relu(1-3+.5, -1-6) = (0, 0); relu(-1) = 0; 2 + 0 + .25
    logits = model({"user": np.array([0]), "items": np.array([[0, 1]])})
    np.testing.assert_allclose(logits, [[94.25, 2.25]])


@pytest.mark.parametrize("mode", ["neumf", "gmf", "mlp"])
@pytest.mark.parametrize("layers", [(6,), (6, 5), (6, 5, 4)])
@pytest.mark.parametrize("rows", [2, 6], ids=["fewer lookups than items", "by way of the whole catalogue"])
def test_the_split_form_is_the_plain_form(mode: str, layers: tuple[int, ...], rows: int) -> None:
    model = small_model(mode=mode, mlp_layers=layers)
    given = batch(rows, candidates=3)
    expected = plain_logits(model.arrays(), given["user"], given["items"])
    np.testing.assert_allclose(model(given), expected, rtol=1e-4, atol=1e-5)
    unknown_shape = tf.function(model, input_signature=[{"user": _ints(1), "items": _ints(2)}])
    np.testing.assert_allclose(unknown_shape(given), expected, rtol=1e-4, atol=1e-5)


def _ints(axes: int) -> Any:
    return tf.TensorSpec((None,) * axes, tf.int32)


@pytest.mark.parametrize("mode", ["neumf", "gmf", "mlp"])
def test_parts_of_users_against_parts_of_all_items(mode: str) -> None:
    model = small_model(mode=mode)
    users = np.array([4, 0, 4])
    items = model.item_vectors(np.arange(ITEMS)[np.newaxis])
    scores = model.scores(model.user_part(model.user_vectors(users)), model.item_part(items))
    every = np.tile(np.arange(ITEMS), (3, 1))
    assert scores.shape == (3, ITEMS)
    np.testing.assert_allclose(scores, plain_logits(model.arrays(), users, every), rtol=1e-4, atol=1e-5)


def test_users_may_come_as_vectors_from_elsewhere() -> None:
    model = small_model()
    weights = model.arrays()
    given = batch(3, 2)
    vectors = Halves(weights["user_gmf"][given["user"]], weights["user_mlp"][given["user"]])
    scores = model.scores(model.user_part(vectors), model.item_part(model.item_vectors(given["items"])))
    np.testing.assert_allclose(scores, model(given), rtol=1e-5)


@pytest.mark.parametrize("rows", [2, 6], ids=["fewer lookups than items", "by way of the whole catalogue"])
def test_gradients_are_the_slopes_of_the_loss(rows: int) -> None:
    model = small_model(dtype="float64", l2=0.1)
    given = batch(rows, candidates=3)

    @tf.function
    def loss() -> Any:
        return binary_cross_entropy(model(given, training=True)) + sum(model.losses)

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        kept = np.array(variable)
        slopes = np.zeros_like(kept)
        for place in np.ndindex(kept.shape):
            around = []
            for step in (1e-6, -1e-6):
                moved = kept.copy()
                moved[place] += step
                variable.assign(moved)
                around.append(float(loss()))
            slopes[place] = (around[0] - around[1]) / 2e-6
        variable.assign(kept)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), slopes, rtol=1e-4, atol=1e-8, err_msg=variable.name)


def test_l2_is_the_mean_over_pairs_of_both_sides() -> None:
    model = NeuMF(2, 2, gmf_width=1, mode="gmf", l2=0.5)
    model.build()
    model.user_gmf.assign([[1.0], [3.0]])
    model.item_gmf.assign([[2.0], [4.0]])
    model({"user": np.array([0, 1]), "items": np.array([[0, 0], [0, 1]])}, training=True)
    # pairs: 1+4, 1+4, 9+4, 9+16
    assert float(sum(model.losses)) == pytest.approx(0.5 * (5 + 5 + 13 + 25) / 4)


def test_dropout_acts_in_training_alone() -> None:
    model, given = small_model(mode="mlp", dropout=0.5), batch(6, 3)
    quiet = model(given, training=False)
    np.testing.assert_array_equal(quiet, model(given, training=False))
    np.testing.assert_allclose(quiet, plain_logits(model.arrays(), **_as_users(given)), rtol=1e-4, atol=1e-5)
    assert not np.allclose(quiet, model(given, training=True))


def _as_users(given: dict[str, Any]) -> dict[str, Any]:
    return {"users": given["user"], "items": given["items"]}


def test_the_seed_draws_the_weights() -> None:
    first, again, other = (build_model("neumf", {"seed": seed}, 50, 40).arrays() for seed in (3, 3, 4))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert not array.any() or not np.array_equal(array, other[name])
    assert first["user_gmf"].std() == pytest.approx(0.01, rel=0.1)
    assert np.abs(first["user_kernel"]).max() == pytest.approx(np.sqrt(6 / (128 + 128)), rel=0.01)
    assert not np.array_equal(first["user_gmf"], first["user_mlp"])


def test_a_config_makes_the_same_model() -> None:
    model = small_model(mode="mlp", dropout=0.25, l2=0.125, seed=9, name="scorer", dtype="mixed_bfloat16")
    twin = NeuMF.from_config(model.get_config())
    assert twin.get_config() == model.get_config()
    assert (twin.mode, twin.mlp_layers, twin.dropout, twin.seed) == ("mlp", (6, 5), 0.25, 9)
    assert (twin.name, twin.compute_dtype) == ("scorer", "bfloat16")


def test_saved_and_loaded_it_scores_the_same(tmp_path: Path) -> None:
    model, given = small_model(), batch(4, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(given), model(given))
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = build_model("neumf", SMALL, USERS, ITEMS)
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(fresh(given), model(given))


@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_joined_halves_mix_their_logits(alpha: float) -> None:
    gmf, mlp, given = small_model(mode="gmf"), small_model(mode="mlp"), batch(5, 4)
    joined = NeuMF(USERS, ITEMS, **SMALL)
    joined.build()
    joined.join_pretrained(gmf, mlp, alpha=alpha)
    np.testing.assert_allclose(joined(given), alpha * gmf(given) + (1 - alpha) * mlp(given), rtol=1e-5, atol=1e-6)


def test_each_half_keeps_the_weights_of_its_own_features() -> None:
    side = {"user_side": [FeatureSpec("gender", "user", "categorical", 0, 1, 4)]}
    sizes = {**SMALL, "gmf_width": 4, "mlp_width": 4}  # of one width, so that a mistake would fit
    gmf, mlp, joined = (NeuMF(USERS, ITEMS, **{**sizes, **side, "mode": mode}) for mode in ("gmf", "mlp", "neumf"))
    codes = (np.arange(USERS, dtype=np.int32) % 4)[:, np.newaxis]
    for seed, model in enumerate((gmf, mlp, joined)):
        model.build()
        model.user_side.fill(codes, np.empty((USERS, 0), np.float32))
        for weight in model.trainable_variables:
            weight.assign(np.random.default_rng(seed).normal(size=weight.shape))
    joined.join_pretrained(gmf, mlp)
    given = batch(5, 4)
    np.testing.assert_allclose(joined(given), 0.5 * gmf(given) + 0.5 * mlp(given), rtol=1e-4, atol=1e-5)


def test_only_a_gmf_and_an_mlp_join() -> None:
    with pytest.raises(ValueError, match="expected a model of mode mlp, got gmf"):
        small_model().join_pretrained(small_model(mode="gmf"), small_model(mode="gmf"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"mode": "both"}, "mode is 'both'"), ({"mlp_layers": ()}, "mlp_layers"), ({"gmf_width": 0}, "widths")],
)
def test_settings_that_make_no_model(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeuMF(USERS, ITEMS, **settings)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ValueError, match="'ncf', expected one of neumf, gmf, mlp, "):
        build_model("ncf", {}, 1, 1)


def test_mixed_precision_computes_small_and_casts_no_table() -> None:
    model = small_model(dtype="mixed_bfloat16")
    given = batch(2, 3)
    np.testing.assert_allclose(model(given), small_model()(given), rtol=0.1, atol=0.1)
    assert model(given).dtype == tf.float32
    graph = tf.function(lambda: model(given)).get_concrete_function().graph
    casts = [tuple(op.inputs[0].shape) for op in graph.get_operations() if op.type == "Cast"]
    assert casts
    assert not [shape for shape in casts if shape[:1] in [(USERS,), (ITEMS,)]]


def test_gmf_learns_a_checkerboard_from_half_of_it() -> None:
    size = 12
    rng = np.random.default_rng(1)
    board = np.add.outer(np.arange(size), np.arange(size)) % 2 == 0
    known = rng.random(board.shape) < 0.7
    rows = [
        (user, item, *rng.choice(np.flatnonzero(~board[user] & known[user]), 4))
        for user, item in np.argwhere(board & known)
    ]
    pairs = tf.constant(rows, dtype=tf.int32)
    model = build_model("gmf", {"gmf_width": 4, "seed": 1}, size, size)
    optimizer = Adam(learning_rate=0.05)
    optimizer.build(model.trainable_variables)
    step = tf.function(make_step(model, optimizer))
    for _ in range(150):
        step({"user": pairs[:, 0], "items": pairs[:, 1:]}, tf.zeros(2, tf.int64))
    logits = model({"user": np.arange(size), "items": np.tile(np.arange(size), (size, 1))}).numpy()
    assert logits[board].min() > 0 > logits[~board].max()


def test_importing_the_package_starts_no_tensorflow() -> None:
    code = (
        "import sys, recsys_spark.models, recsys_spark.models.scoring; "
        "print('tensorflow' in sys.modules, 'keras' in sys.modules, 'pyspark' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["False", "False", "False"]
