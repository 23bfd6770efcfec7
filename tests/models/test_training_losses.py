"""The losses that models train on, against loops in numpy over small batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.models.multitask import MultiTask
from recsys_spark.models.sequence import SequenceModel
from tests.models.test_contract import ITEMS, LENGTH, make, randomly_weighted

SEED = tf.constant([1, 2], tf.int64)
COUNTS = np.arange(1, ITEMS + 1) ** 2
NAN = float("nan")


def of_its_place(positive: float, negatives: Any) -> float:
    """-log of the positive's share under a softmax."""
    logits = np.array([positive, *negatives])
    return float(np.log(np.exp(logits).sum()) - positive)


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_multitask_sums_weighted_losses_of_interaction_and_value(monkeypatch: Any, power: float) -> None:
    logits = np.array([[0.5, -1.0], [2.0, 0.25], [-0.5, 0.0]], np.float32)
    predicted = np.array([[0.5, 9.0], [-1.0, 9.0], [4.0, 9.0]], np.float32)  # of negatives nothing is predicted
    monkeypatch.setattr(MultiTask, "tasks", lambda self, users, items: [tf.constant(logits), tf.constant(predicted)])
    values = np.array([6.0, 1.0, NAN], np.float32)
    batch = {"user": np.zeros(3, np.int32), "items": np.zeros((3, 2), np.int32), "value": values}

    weights = np.array([1 + 6 / 2, 1 + 1 / 2, 1 + 2 / 2]) ** power  # the mean is 2, which stands for what is not known
    entropies = np.log1p(np.exp(-logits[:, 0])) @ weights + np.log1p(np.exp(logits[:, 1])).sum()
    interaction = entropies / (weights.sum() + 3)
    value = ((0.5 - (6 - 2) / 4) ** 2 + (-1.0 - (1 - 2) / 4) ** 2) / 2

    settings = {"value_power": power, "mean_value": 2.0, "std_value": 4.0, "task_weights": [0.7, 0.2, 5.0]}
    loss = make("multitask", **settings).training_loss(batch, SEED)
    np.testing.assert_allclose(loss, 0.7 * interaction + 0.2 * value, rtol=1e-5)

    uncertain = make("multitask", **settings, uncertainty=True)
    uncertain.log_noise.assign([0.3, -0.4])  # log s of each task
    by_hand = interaction / (2 * np.exp(0.3) ** 2) + 0.3 + value / (2 * np.exp(-0.4) ** 2) - 0.4
    np.testing.assert_allclose(uncertain.training_loss(batch, SEED), by_hand, rtol=1e-5)


def test_in_batch_negatives_are_corrected_by_how_often_they_are_expected(monkeypatch: Any) -> None:
    taken = np.arange(2, ITEMS)  # nobody took items 0 and 1
    counts = np.where(np.arange(ITEMS) < 2, 0, COUNTS)

    def in_turn(shape: Any, seed: Any, minval: int = 0, maxval: Any = None, dtype: Any = tf.float32) -> Any:
        if dtype == tf.int32:
            return tf.range(shape[0]) % maxval
        return tf.ones(shape, dtype)

    model = randomly_weighted(make("two_tower", negatives=5, positions=LENGTH, temperature=0.5))
    model.learn_counts(counts)
    monkeypatch.setattr(tf.random, "stateless_uniform", in_turn)
    window = np.array([[-1, -1, -1, -1, 3, 4, 5], [-1, -1, -1, -1, -1, 4, 9]], np.int32)
    batch = {"user": np.zeros(2, np.int32), "window": window}

    def unit(tower: Any, x: Any) -> Any:
        (first, bias), (second, last_bias) = ([np.asarray(each, np.float64) for each in layer] for layer in tower)
        x = np.maximum(x @ first + bias, 0) @ second + last_bias
        return x / np.linalg.norm(x)

    table = np.asarray(model.items, np.float64)
    items = [unit(model.item_tower, row) for row in table]
    places = [([3], 4, 0), ([3, 4], 5, 0), ([4], 9, 1)]  # read, next, row
    candidates = [4, 5, 9, *taken[:5]]
    expected = 3 * counts[candidates] / counts.sum() + 5 / len(taken)
    losses = []
    for number, (read, _, row) in enumerate(places):
        query = unit(model.query_tower, table[read].mean(axis=0))
        dots = np.array([query @ items[item] for item in candidates])
        logits = dots / 0.5 - np.log(expected)
        losses.append(of_its_place(logits[number], logits[[item not in window[row] for item in candidates]]))
    np.testing.assert_allclose(model.training_loss(batch, SEED), np.mean(losses), rtol=1e-5)


@pytest.fixture
def places() -> dict[str, Any]:
    """Vectors of three places in two windows, their next items, and what was drawn."""
    vectors = np.random.default_rng(8).normal(size=(3, 8)).astype(np.float32)
    windows, rows = np.array([[3, 4, 5], [-1, 2, 7]], np.int32), np.array([0, 0, 1])
    return {"vectors": vectors, "targets": np.array([4, 5, 7], np.int32), "windows": windows, "rows": rows}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("loss_name", "sampling"), [("sampled_softmax", "popularity"), ("sampled_softmax", "uniform")])
def test_sampled_softmax_is_corrected_where_draws_are_not_uniform(
    monkeypatch: Any, places: Any, shared: bool, loss_name: str, sampling: str
) -> None:
    drawn = [6, 7, 5, 6] if shared else [[6, 7, 5, 6], [1, 1, 0, 5], [9, 2, 7, 3]]
    monkeypatch.setattr(SequenceModel, "_draw", lambda self, rows, seed: tf.constant(drawn))
    model = make("sasrec", loss_name=loss_name, sampling=sampling, alpha=0.5, shared=shared, bar_window=True)
    model = randomly_weighted(model, spread=1.0)
    model.learn_counts(COUNTS)
    table, share = np.asarray(model.items, np.float64), np.sqrt(COUNTS) / np.sqrt(COUNTS).sum()
    losses = []
    for number, (vector, target, row) in enumerate(
        zip(*(places[k] for k in ("vectors", "targets", "rows")), strict=True)
    ):
        logits = table @ vector - (np.log(share) if sampling == "popularity" else 0.0)
        others = drawn if shared else drawn[number]
        losses.append(of_its_place(logits[target], [logits[k] for k in others if k not in places["windows"][row]]))
    np.testing.assert_allclose(model.loss_of(**places, seed=SEED), np.mean(losses), rtol=1e-5)


def test_the_full_softmax_is_over_the_whole_catalogue(places: Any) -> None:
    model = randomly_weighted(make("sasrec", loss_name="softmax"), spread=1.0)
    logits = np.asarray(model.items, np.float64) @ places["vectors"].T
    losses = [of_its_place(logits[t, n], np.delete(logits[:, n], t)) for n, t in enumerate(places["targets"])]
    np.testing.assert_allclose(model.loss_of(**places, seed=SEED), np.mean(losses), rtol=1e-5)


def test_draws_by_popularity_have_shares_of_popularity_to_the_alpha() -> None:
    draws, alpha = 50_000, 0.5
    model = make("sasrec", sampling="popularity", alpha=alpha, negatives=draws)
    model.learn_counts(COUNTS)  # the squares of 1 to 20: shares are 1 / 210 to 20 / 210
    found = np.bincount(np.asarray(model._draw((), SEED)), minlength=ITEMS) / draws
    shares = np.arange(1, ITEMS + 1) / 210
    assert (np.abs(found - shares) < 5 * np.sqrt(shares / draws)).all()
    each = make("sasrec", sampling="popularity", alpha=alpha, negatives=7)
    each.learn_counts(COUNTS)
    assert each._draw((tf.constant(3),), SEED).shape == (3, 7)


PAIRS = {"user": np.array([0, 1], np.int32), "items": np.array([[0, 0], [0, 1]], np.int32)}


def test_l2_of_matrix_factorization_is_of_factors_and_biases() -> None:
    model = make("matrix_factorization", width=1, l2=0.5)
    for table, rows in (
        (model.users, [1, 3]),
        (model.items, [2, 4]),
        (model.user_bias, [0, 1]),
        (model.item_bias, [5, 0]),
    ):
        table.assign(np.pad(np.array(rows, np.float32)[:, None], ((0, table.shape[0] - 2), (0, 0))))
    model(PAIRS, training=True)
    # users 1 + 9 and biases 0 + 1 over two rows; items 4, 4, 4, 16 and biases 25, 25, 25, 0 over four pairs
    assert float(sum(model.losses)) == pytest.approx(0.5 * (10 / 2 + 1 / 2 + 28 / 4 + 75 / 4))
    model(PAIRS)
    assert not model.losses


def test_l2_of_embedding_mlp_is_of_the_embeddings() -> None:
    model = make("embedding_mlp", width=1, l2=0.5)
    for table, rows in ((model.users, [1, 3]), (model.items, [2, 4])):
        table.assign(np.pad(np.array(rows, np.float32)[:, None], ((0, table.shape[0] - 2), (0, 0))))
    model(PAIRS, training=True)
    assert float(sum(model.losses)) == pytest.approx(0.5 * (10 / 2 + 28 / 4))


def test_what_a_model_trains_on_hangs_on_the_loss_it_is_given() -> None:
    """The same batch, other losses: each by a loop over its own scores."""
    mse = randomly_weighted(make("matrix_factorization mse"))
    ratings = {"user": PAIRS["user"], "items": PAIRS["items"][:, :1], "value": np.array([3.0, 1.0], np.float32)}
    scores = np.asarray(mse(ratings), np.float64)
    np.testing.assert_allclose(mse.training_loss(ratings, SEED), np.mean((scores[:, 0] - [3.0, 1.0]) ** 2), rtol=1e-5)

    bpr = randomly_weighted(make("matrix_factorization bpr"))
    scores = np.asarray(bpr(PAIRS), np.float64)
    by_hand = np.mean(np.log1p(np.exp(scores[:, 1] - scores[:, 0])))
    np.testing.assert_allclose(bpr.training_loss(PAIRS, SEED), by_hand, rtol=1e-5)

    bce = randomly_weighted(make("matrix_factorization", negative_weight=0.25))
    scores = np.asarray(bce(PAIRS), np.float64)
    entropies = np.log1p(np.exp(-scores[:, 0])) + 0.25 * np.log1p(np.exp(scores[:, 1]))
    np.testing.assert_allclose(bce.training_loss(PAIRS, SEED), np.mean(entropies) / 1.25, rtol=1e-5)

    explicit = randomly_weighted(make("neumf explicit"))
    scores = np.asarray(explicit(ratings), np.float64)
    by_hand = np.mean((scores[:, 0] - [3.0, 1.0]) ** 2)
    np.testing.assert_allclose(explicit.training_loss(ratings, SEED), by_hand, rtol=1e-5)
