"""Losses, folding and places of windows against values written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.models import binary_cross_entropy, losses
from recsys_spark.models.folding import nearest_neighbours, share_a_user
from recsys_spark.models.softmax_dnn import mean_so_far
from recsys_spark.models.windows import BARRED, some_places, up_to, windows_of


def test_a_positive_and_its_negatives_by_hand() -> None:
    # sigmoid(ln 3) = 3/4: the positive costs -ln(3/4), a negative of the same score -ln(1/4)
    logits = tf.constant([[np.log(3.0), np.log(3.0), 0.0]], dtype=tf.float32)
    by_hand = (0.2876821 + 1.3862944 + 0.6931472) / 3
    assert float(binary_cross_entropy(logits)) == pytest.approx(by_hand, rel=1e-6)


def test_it_is_the_mean_over_all_pairs_of_all_rows() -> None:
    logits = tf.constant([[0.0, 0.0], [np.log(3.0), -np.log(3.0)]], dtype=tf.float32)
    by_hand = (0.6931472 + 0.6931472 + 0.2876821 + 0.2876821) / 4
    assert float(binary_cross_entropy(logits)) == pytest.approx(by_hand, rel=1e-6)


def test_large_scores_stay_finite() -> None:
    logits = tf.constant([[-1000.0, 1000.0]])
    assert float(binary_cross_entropy(logits)) == pytest.approx(1000.0)


def test_its_gradient_is_probability_less_label() -> None:
    logits = tf.Variable([[np.log(3.0), np.log(3.0)]], dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = binary_cross_entropy(logits)
    np.testing.assert_allclose(tape.gradient(loss, logits), [[(0.75 - 1.0) / 2, 0.75 / 2]], rtol=1e-5)


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def test_each_loss_by_hand() -> None:
    logits = tf.constant([[1.0, -0.5, 0.25]])
    of_negatives = -math.log(1 - sigmoid(-0.5)) - math.log(1 - sigmoid(0.25))
    weighted = (-math.log(sigmoid(1.0)) + 0.5 * of_negatives) / 2.0
    np.testing.assert_allclose(losses.weighted_cross_entropy(logits, 0.5), weighted, rtol=1e-6)
    pairwise = (-math.log(sigmoid(1.5)) - math.log(sigmoid(0.75))) / 2
    np.testing.assert_allclose(losses.bpr(logits), pairwise, rtol=1e-6)
    np.testing.assert_allclose(losses.squared_error(tf.constant([1.0, 3.0]), tf.constant([2.0, 1.0])), 2.5)

    positives, negatives = tf.constant([1.0]), tf.constant([[-0.5, 0.25]])
    softmax = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(-0.5) + math.exp(0.25)))
    np.testing.assert_allclose(losses.sampled_softmax(positives, negatives), softmax, rtol=1e-6)
    calibrated = -0.2 * math.log(sigmoid(1.0)) + of_negatives
    np.testing.assert_allclose(losses.generalised_cross_entropy(positives, negatives, 0.2), calibrated, rtol=1e-6)
    total = math.exp(-0.5) + math.exp(0.25)
    shares = (math.exp(-0.5) / total, math.exp(0.25) / total)
    gain = -math.log(shares[0] * sigmoid(1.5) + shares[1] * sigmoid(0.75))
    penalty = 0.3 * (shares[0] * 0.25 + shares[1] * 0.0625)
    np.testing.assert_allclose(losses.bpr_max(positives, negatives, 0.3), gain + penalty, rtol=1e-6)
    lost = shares[0] * (sigmoid(-1.5) + sigmoid(0.25)) + shares[1] * (sigmoid(-0.75) + sigmoid(0.0625))
    np.testing.assert_allclose(losses.top1_max(positives, negatives), lost, rtol=1e-6)
    two_rows = losses.top1_max(tf.constant([1.0, 0.0]), tf.constant([[-0.5, 0.25], [0.0, BARRED]]))
    np.testing.assert_allclose(two_rows, (lost + 1.0) / 2, rtol=1e-6)  # what is barred weighs nothing


def test_gbces_beta_is_one_without_calibration_and_the_sampling_rate_with_all_of_it() -> None:
    assert losses.calibration_beta(256, 3707, 0.0) == 1.0
    assert losses.calibration_beta(256, 3707, 1.0) == pytest.approx(256 / 3706)
    assert losses.calibration_beta(5000, 3707, 0.5) == 1.0


def test_the_nearest_neighbours_are_those_of_a_plain_sort_by_cosine() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    for item, found in enumerate(nearest_neighbours(vectors, 5)):
        others = sorted((other for other in range(30) if other != item), key=lambda other: -(unit[item] @ unit[other]))
        assert set(found.tolist()) == set(others[:5])
    assert nearest_neighbours(vectors[:3], 10).shape == (3, 2)


def test_neighbours_share_a_user_or_are_folded() -> None:
    # items 0 and 1 lie together and share user 0; items 2 and 3 lie together and share nobody
    nearest = nearest_neighbours(np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0]]), 1)
    assert nearest.tolist() == [[1], [0], [3], [2]]
    shared = share_a_user(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 2, 3, 3]), nearest)
    assert shared.tolist() == [[True], [True], [False], [False]]
    assert share_a_user(np.array([], int), np.array([], int), nearest).tolist() == [[False]] * 4


def test_a_value_that_is_not_known_is_no_error() -> None:
    predicted = tf.Variable([1.0, 5.0, 2.0])
    with tf.GradientTape() as tape:
        loss = losses.squared_error(predicted, tf.constant([3.0, np.nan, 2.5]))
    assert float(loss) == pytest.approx((4.0 + 0.25) / 2)
    np.testing.assert_allclose(tape.gradient(loss, predicted), [-2.0, 0.0, -0.5])
    assert float(losses.squared_error(predicted, tf.fill((3,), np.nan))) == 0.0


def test_the_mean_of_a_long_window_is_not_counted_in_bfloat16() -> None:
    items, vectors = np.zeros((1, 400), np.int32), np.ones((1, 400, 1), np.float32)
    means = mean_so_far(tf.cast(vectors, tf.bfloat16), items)
    assert means.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(means, tf.float32), vectors)


def test_places_of_windows_are_of_known_items_and_histories_end_at_them() -> None:
    window = tf.constant([[-1, 5, 6, 7], [1, 2, 3, 4]])
    chosen = some_places(windows_of({"window": window}, 3), 10, tf.constant([1, 2], tf.int64))
    found = sorted(
        zip(chosen.rows.numpy().tolist(), chosen.places.numpy().tolist(), chosen.targets.numpy().tolist(), strict=True)
    )
    assert found == [(0, 1, 6), (0, 2, 7), (1, 0, 2), (1, 1, 3), (1, 2, 4)]
    assert chosen.places.numpy().tolist() == chosen.nexts.numpy().tolist()
    assert len(some_places(windows_of({"window": window}, 3), 1, tf.constant([1, 2], tf.int64)).rows) == 2
    histories = up_to(tf.gather(window, [0, 1]), tf.constant([2, 0], tf.int64), 2).numpy()
    assert histories.tolist() == [[5, 6], [-1, 1]]


def test_items_of_a_basket_are_read_from_before_it() -> None:
    # moments of the second row: 1 | 2 3 | 4; of the first: 5 | 6 7
    batch = {"window": tf.constant([[-1, 5, 6, 7], [1, 2, 3, 4]]), "read_at": tf.constant([[-1, 1, 1], [0, 0, 2]])}
    chosen = some_places(windows_of(batch, 3), 10, tf.constant([1, 2], tf.int64))
    found = zip(*(each.numpy().tolist() for each in chosen), strict=True)
    assert sorted(found) == [(0, 1, 1, 6), (0, 1, 2, 7), (1, 0, 0, 2), (1, 0, 1, 3), (1, 2, 2, 4)]
    shorter = windows_of(batch, 2)  # reads 2 and 3 of the second row, whose basket began before
    assert shorter.inputs.numpy().tolist() == [[5, 6], [2, 3]]
    assert shorter.there.numpy().tolist() == [[True, True], [False, True]]
    assert shorter.read_at.numpy()[shorter.there.numpy()].tolist() == [0, 0, 1]
