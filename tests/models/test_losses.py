"""Binary cross-entropy against values written by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.models import binary_cross_entropy


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
