"""What every model owes to training, scoring and evaluation: one suite that each inherits.

The checkerboard: even users take even items, odd users odd ones, in an order that turns round; a model that has learnt it
ranks the half of the catalogue that is a user's own above the other.
"""

from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.config import load_config
from recsys_spark.features.spec import FeatureSpec
from recsys_spark.feed.layouts import layout_of
from recsys_spark.model_settings import Model
from recsys_spark.models import build_model
from recsys_spark.models.users import Users
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.storage import save_folder
from recsys_spark.training.artifact import load_artifact
from recsys_spark.training.checkpoint import CATALOGUE
from recsys_spark.training.optimizers import Adam, make_step
from recsys_spark.training.setup import scoring_of

USERS, ITEMS, LENGTH = 24, 20, 6
SMALL: dict[str, dict[str, Any]] = {
    "neumf": {"gmf_width": 4, "mlp_width": 4, "mlp_layers": [8, 4]},
    "gmf": {"gmf_width": 4, "mlp_width": 4, "mlp_layers": [8, 4]},
    "mlp": {"gmf_width": 4, "mlp_width": 4, "mlp_layers": [8, 4]},
    "neumf explicit": {"gmf_width": 4, "mlp_width": 4, "mlp_layers": [8, 4], "objective": "explicit"},
    "matrix_factorization": {"width": 4},
    "matrix_factorization bpr": {"width": 4, "loss_name": "bpr"},
    "matrix_factorization mse": {"width": 4, "loss_name": "mse"},
    "matrix_factorization clicks": {"width": 4, "loss_name": "clicks"},
    "neumf clicks": {"gmf_width": 4, "mlp_width": 4, "mlp_layers": [8, 4], "objective": "clicks"},
    "embedding_mlp": {"width": 4, "layers": [8], "objective": "implicit", "dropout": 0.0, "embedding_dropout": 0.0},
    "embedding_mlp clicks": {
        "width": 4,
        "layers": [8],
        "objective": "clicks",
        "dropout": 0.0,
        "embedding_dropout": 0.0,
    },
    "softmax_dnn": {"width": 8, "layers": [8], "negatives": 8, "sampling": "uniform", "dropout": 0.0},
    "two_tower": {"width": 8, "layers": [8], "negatives": 16, "positions": 4, "temperature": 0.2},
    "din": {"width": 8, "attention_units": 4, "layers": [8], "positions": 4},
    "gru4rec": {"width": 8, "units": 12, "negatives": 16, "dropout": 0.0, "bar_window": False},
    "sasrec": {"width": 8, "negatives": 16, "blocks": 1, "heads": 2, "dropout": 0.0, "bar_window": False},
    "multitask": {"width": 4, "experts": 2, "units": 8, "tower": 4},
}
SEQUENTIAL = ["softmax_dnn", "two_tower", "din", "gru4rec", "sasrec"]
IN_ORDER = ["gru4rec", "sasrec"]
TOWER = {"position": "tower", "codes": 4, "dropout": 0.0}
SIDE = {
    of: [FeatureSpec("half", of, "categorical", 0, 1, 4), FeatureSpec("size", of, "dense", 0, 1, None)]
    for of in ("user", "item")
}


def chosen_of(name: str) -> Any:
    """The section of a model's settings, small; what follows the model's name tells variants of it apart."""
    return load_config(settings=[f"model.name={name.split()[0]}"]).model.chosen.model_copy(update=SMALL[name])


def make(name: str, **changes: Any) -> Any:
    """A small model with the configuration's other defaults."""
    return build_model(name.split()[0], settings_of(name) | changes, USERS, ITEMS)


def settings_of(name: str) -> dict[str, Any]:
    """The settings of a small model, with what follows from its examples."""
    chosen = chosen_of(name)
    from_data = {"sequences": {"length": LENGTH}, "impressions": {"clicks": TOWER}}
    return chosen.arguments() | {"seed": 3} | from_data.get(chosen.examples, {})


def randomly_weighted(model: Any, spread: float = 0.3) -> Any:
    """The model, all of whose trained weights are drawn, so that no zero or one hides what it should not."""
    rng = np.random.default_rng(5)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0.0, spread, variable.shape))
    return model


def scoring_batch(rows: int = 5, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    history = rng.integers(0, ITEMS, (rows, LENGTH)).astype(np.int32)
    history[0, :4] = -1
    users = rng.integers(0, USERS, rows).astype(np.int32)
    return {"user": users, "history": history, "items": rng.integers(0, ITEMS, (rows, 3)).astype(np.int32)}


def checkerboard(kind: str, rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """A batch of examples; of sequences each item is followed by the one two places on."""
    users = rng.integers(0, USERS, rows).astype(np.int32)
    if kind == "sequences":
        start = 2 * rng.integers(0, ITEMS // 2, rows) + users % 2
        window = (start[:, None] + 2 * np.arange(LENGTH + 1)) % ITEMS
        window[: rows // 4, :3] = -1
        return {"user": users, "window": window.astype(np.int32)}
    if kind == "ratings":
        items = rng.integers(0, ITEMS, (rows, 1)).astype(np.int32)
        return {"user": users, "items": items, "value": (4.0 - 3.0 * ((items[:, 0] + users) % 2)).astype(np.float32)}
    if kind == "impressions":
        items = rng.integers(0, ITEMS, (rows, 1)).astype(np.int32)
        clicked = ((items[:, 0] + users) % 2 == 0).astype(np.float32)
        return {
            "user": users,
            "items": items,
            "clicked": clicked,
            "position": rng.integers(0, 4, rows).astype(np.int32),
        }
    items = (2 * rng.integers(0, ITEMS // 2, (rows, 3)) + users[:, None] % 2).astype(np.int32)
    items[:, 1:] ^= 1
    value, converted = (4.0 - items[:, 0] % 2).astype(np.float32), (items[:, 0] < 4).astype(np.float32)
    return {"user": users, "items": items, "value": value, "converted": converted}


def trained(model: Any, steps: int = 200, kind: str = "") -> list[float]:
    """The losses of so many steps on a checkerboard, of the model's usual kind of example or of another."""
    optimizer = Adam(0.02)
    optimizer.build(model.trainable_variables)
    step = tf.function(make_step(model, optimizer), autograph=False)
    rng = np.random.default_rng(1)
    kind = kind or model.examples
    return [float(step(checkerboard(kind, 32, rng), tf.constant([7, n], tf.int64))) for n in range(steps)]


@pytest.fixture(params=sorted(SMALL))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_suite_asks_every_model_there_is() -> None:
    assert {name.split()[0] for name in SMALL} == set(get_args(Model.model_fields["name"].annotation))


def test_scores_have_the_shape_of_the_candidates(name: str) -> None:
    model = make(name)
    scores = model(scoring_batch())
    assert scores.shape == (5, 3) and scores.dtype == tf.float32
    assert np.isfinite(scores).all()
    unknown = {**scoring_batch(), "user": np.full(5, -1, np.int32)}
    if name.split()[0] not in ("neumf", "gmf", "mlp"):  # their scorer never asks for unknown users
        assert np.isfinite(model(unknown)).all()


@pytest.mark.parametrize(
    ("loss_name", "sampling"),
    [
        ("bce", "uniform"),
        ("gbce", "popularity"),
        ("sampled_softmax", "popularity"),
        ("bpr_max", "uniform"),
        ("top1_max", "uniform"),
    ],
)
def test_negatives_of_each_place_train_in_a_graph_too(loss_name: str, sampling: str) -> None:
    model = make("gru4rec", loss_name=loss_name, sampling=sampling, negatives=2, shared=False, regularisation=0.0)
    model.learn_counts(np.arange(1, ITEMS + 1))
    losses = trained(model, steps=80)
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_it_learns_the_checkerboard(name: str) -> None:
    model = make(name)
    losses = trained(model, kind=chosen_of(name).examples)
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:10])
    users = np.arange(6, dtype=np.int32)
    history = ((2 * np.arange(LENGTH) + users[:, None]) % ITEMS).astype(np.int32)
    items = np.tile(np.arange(ITEMS, dtype=np.int32), (6, 1))
    scores = np.asarray(model({"user": users, "history": history, "items": items}))
    if name in IN_ORDER:  # what comes next is known to the item
        assert (scores.argmax(axis=1) == (history[:, -1] + 2) % ITEMS).mean() > 0.8
        return
    own = (items + users[:, None]) % 2 == 0
    better = scores[own].reshape(6, -1)[:, :, None] > scores[~own].reshape(6, -1)[:, None]
    assert better.mean() > 0.9


def test_gradients_are_the_slopes_of_the_loss(name: str) -> None:
    """Of a few weights of each table and kernel; in float32, so within some percent."""
    settings = {"l2": 0.1} if "l2" in chosen_of(name).arguments() else {}
    model = randomly_weighted(make(name, **settings), spread=0.6)
    batch, seed = checkerboard(chosen_of(name).examples, 32, np.random.default_rng(1)), tf.constant([7, 1], tf.int64)

    @tf.function(autograph=False)
    def loss() -> Any:
        return model.training_loss(batch, seed) + sum(model.losses)

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, [variable.value for variable in model.trainable_variables])
    rng, step = np.random.default_rng(2), 1e-3
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        gradient, kept = np.asarray(tf.convert_to_tensor(gradient)).ravel(), np.array(variable)
        # rounding, and what a relu that turns within a step may do
        near = 3e-7 * abs(float(value)) / step + 0.05 * np.abs(gradient).max()
        steepest = np.argsort(-np.abs(gradient), kind="stable")[:2]
        for place in {*steepest.tolist(), *rng.integers(0, gradient.size, 2).tolist()}:
            around = []
            for move in (step, -step):
                moved = kept.copy()
                moved.flat[place] += move
                variable.assign(moved)
                around.append(float(loss()))
            slope = (around[0] - around[1]) / (2 * step)
            assert gradient[place] == pytest.approx(slope, rel=0.05, abs=near), f"{variable.path} at {place}"
        variable.assign(kept)


def test_what_it_retrieves_by_is_its_score(name: str) -> None:
    model, batch = make(name), scoring_batch()
    if not model.retrieves:
        return
    catalogue = np.asarray(model.catalogue())
    assert catalogue.shape[0] == ITEMS
    dots = np.einsum("bd,bcd->bc", np.asarray(model.queries(batch)), catalogue[batch["items"]])
    np.testing.assert_allclose(dots, model(batch), rtol=1e-4, atol=1e-5)
    assert model.own_items(batch).shape == (5, 0)


def test_a_configuration_makes_the_same_model(name: str) -> None:
    model = make(name)
    again = type(model).from_config(model.get_config())
    again.build()
    for theirs, ours in zip(again.weights, model.weights, strict=True):
        theirs.assign(ours)
    np.testing.assert_array_equal(again(scoring_batch()), model(scoring_batch()))


def test_keras_saves_and_loads_it(name: str, tmp_path: Any) -> None:
    model = make(name)
    expected = model(scoring_batch())
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(scoring_batch()), expected)


def test_the_same_seed_makes_the_same_weights(name: str) -> None:
    for one, other in zip(make(name).weights, make(name).weights, strict=True):
        np.testing.assert_array_equal(one, other)
    differ = [
        np.any(np.asarray(a) != np.asarray(b))
        for a, b in zip(make(name).weights, make(name, seed=4).weights, strict=True)
    ]
    assert any(differ)


def test_an_artifacts_scorer_gives_what_the_model_gives(name: str, tmp_path: Any) -> None:
    model, batch = make(name), scoring_batch()
    trained(model, steps=3, kind=chosen_of(name).examples)
    spec = {"name": name.split()[0], "settings": settings_of(name), "n_users": USERS, "n_items": ITEMS}
    arrays = {f"{n:03d} {v.path}": np.asarray(v) for n, v in enumerate(model.weights)}
    arrays |= {CATALOGUE: np.asarray(model.catalogue())} if model.retrieves else {}
    manifest = {"format": 1, "model_version": "v", "model": spec, "scoring": dict(scoring_of(model))}
    save_folder(str(tmp_path / "artifact"), manifest, arrays)

    scorer, users = load_scorer(str(tmp_path / "artifact")), Users(batch["user"], batch["history"])
    assert scorer.history == (LENGTH if name in SEQUENTIAL else 0)
    expected = np.asarray(model(batch))
    np.testing.assert_allclose(scorer.scores(users, batch["items"]), expected, rtol=1e-4, atol=1e-5)
    everything = scorer.all_scores(users)
    np.testing.assert_allclose(np.take_along_axis(everything, batch["items"], 1), expected, rtol=1e-4, atol=1e-5)
    items, scores = scorer.top_n(users, 4, None)
    best = np.argsort(-everything, axis=1, kind="stable")[:, :4]
    np.testing.assert_allclose(scores, np.take_along_axis(everything, best, 1), rtol=1e-4, atol=1e-5)
    excluded, _ = scorer.top_n(users, 4, (np.arange(6), items[:, 0].astype(np.int32)))
    assert not (excluded == items[:, :1]).any()
    np.testing.assert_allclose(load_artifact(str(tmp_path / "artifact")).model(batch), expected, rtol=1e-6)

    manifest["scoring"]["pair_floats"] = 1 << 26  # a pair at a time
    save_folder(str(tmp_path / "tiled"), manifest, arrays)
    tiled = load_scorer(str(tmp_path / "tiled"))
    np.testing.assert_allclose(tiled.all_scores(users), everything, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(tiled.top_n(users, 4, None)[0], items)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_padding_can_not_change_a_score(name: str) -> None:
    model, batch = randomly_weighted(make(name)), scoring_batch()
    batch["history"][:, :2] = -1  # of the first row four places are padding, of the others two
    padded = np.asarray(model(batch))
    bare = {**batch, "history": batch["history"][:, 2:]}
    np.testing.assert_allclose(model(bare), padded, rtol=1e-4, atol=1e-5)
    shorter = {**batch, "history": batch["history"][:1, 4:], "items": batch["items"][:1], "user": batch["user"][:1]}
    np.testing.assert_allclose(model(shorter), padded[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_of_a_longer_history_the_latest_are_read(name: str) -> None:
    model, batch = make(name), scoring_batch()
    older = np.random.default_rng(9).integers(0, ITEMS, (5, 4)).astype(np.int32)
    longer = {**batch, "history": np.concatenate([older, batch["history"]], axis=1)}
    expected = np.asarray(model(batch))[1:]  # the first history is short: the older items are part of it
    np.testing.assert_allclose(np.asarray(model(longer))[1:], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["softmax_dnn", "gru4rec", "sasrec"])
def test_no_position_sees_a_later_one(name: str) -> None:
    model, history = make(name), scoring_batch()["history"]
    before = np.asarray(model.encode(history, training=False))
    changed = history.copy()
    changed[:, -2:] = (changed[:, -2:] + 1) % ITEMS
    after = np.asarray(model.encode(changed, training=False))
    there = history[:, :-2] >= 0
    np.testing.assert_allclose(after[:, :-2][there], before[:, :-2][there], rtol=1e-5, atol=1e-6)
    assert np.abs(after[:, -1] - before[:, -1]).max() > 1e-4


def test_in_mixed_precision_it_computes_and_scores_in_float32(name: str) -> None:
    repeats = {"repeats": True} if name in ("softmax_dnn", "gru4rec", "sasrec") else {}
    model, batch = make(name, dtype="mixed_bfloat16", **repeats), scoring_batch()
    examples = checkerboard(chosen_of(name).examples, 32, np.random.default_rng(1))
    loss = model.training_loss(examples, tf.constant([7, 1], tf.int64))
    scores = model(batch)
    assert np.isfinite(float(loss)) and scores.dtype == tf.float32
    plain = make(name, **repeats)
    for weight, own in zip(plain.weights, model.weights, strict=True):
        weight.assign(own)
    np.testing.assert_allclose(scores, plain(batch), rtol=0.1, atol=0.05)


@pytest.mark.parametrize("name", ["softmax_dnn", "gru4rec", "sasrec"])
def test_the_order_of_a_basket_changes_no_loss(name: str) -> None:
    model, seed = make(name, loss_name="softmax"), tf.constant([1, 2], tf.int64)
    batch = {"user": np.array([1], np.int32), "window": np.array([[0, 2, 4, 6, 8, 10, 12]], np.int32)}
    baskets = {**batch, "read_at": np.array([[0, 1, 2, 3, 3, 3]], np.int32)}  # 8, 10 and 12 are one
    turned = np.array([[0, 2, 4, 6, 12, 8, 10]], np.int32)
    loss = float(model.training_loss(baskets, seed))
    assert float(model.training_loss({**baskets, "window": turned}, seed)) == pytest.approx(loss, rel=1e-5)
    plain = float(model.training_loss(batch, seed))
    assert abs(float(model.training_loss({**batch, "window": turned}, seed)) - plain) > 1e-6


@pytest.mark.parametrize("of", ["user", "item"])
def test_features_reach_the_scores_of_the_models_that_take_them(name: str, of: str, tmp_path: Any) -> None:
    if of not in chosen_of(name).features_of:
        return
    model, batch = make(name, **{f"{of}_side": SIDE[of]}), scoring_batch()
    side, rows = (model.user_side, USERS) if of == "user" else (model.item_side, ITEMS)
    codes = np.arange(rows, dtype=np.int32)[:, None] % 4
    side.fill(codes, np.linspace(-1.0, 1.0, rows, dtype=np.float32)[:, None])
    trained(model, steps=2, kind=chosen_of(name).examples)
    before = np.asarray(model(batch))
    codes[:] = (codes + 1) % 4
    side.fill(codes, np.full((rows, 1), np.nan, np.float32))
    after = np.asarray(model(batch))
    assert np.isfinite(after).all() and np.abs(after - before).max() > 1e-6
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(batch), after)


def test_encoded_features_of_another_shape_or_vocabulary_are_refused() -> None:
    side = make("two_tower", item_side=SIDE["item"]).item_side
    codes, numbers = np.zeros((ITEMS, 1), np.int32), np.zeros((ITEMS, 1), np.float32)
    with pytest.raises(ValueError, match=r"numbers of shape \(20, 2\), expected \(20, 1\)"):
        side.fill(codes, np.zeros((ITEMS, 2), np.float32))
    codes[3] = 4
    with pytest.raises(ValueError, match="feature half has code 4, its vocabulary ends at 3"):
        side.fill(codes, numbers)


def test_every_kind_of_example_is_fed_as_its_models_take_it(name: str) -> None:
    model, kind = make(name), chosen_of(name).examples
    layout = layout_of(kind, 2, LENGTH)
    block = tf.zeros((4, layout.width), tf.int32)
    batch = layout.batch(block)
    beside = {"rated_pairs": {"value", "converted"}, "ratings": {"value"}, "impressions": {"clicked", "position"}}
    expected = {"user", "window" if kind == "sequences" else "items"} | beside.get(kind, set())
    assert set(batch) == expected
    assert np.isfinite(model.training_loss(batch, tf.constant([1, 2], tf.int64)))
    if kind == "sequences":
        layout = layout_of(kind, 2, LENGTH, baskets=True)
        batch = layout.batch(tf.zeros((4, layout.width), tf.int32))
        assert set(batch) == expected | {"read_at"} and batch["read_at"].shape == (4, LENGTH)
        assert np.isfinite(model.training_loss(batch, tf.constant([1, 2], tf.int64)))
