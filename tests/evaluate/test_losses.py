"""Losses and thresholds, against scikit-learn and by trying every threshold."""

from __future__ import annotations

import doctest

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import accuracy_score, log_loss

from recsys_spark.evaluate import catalogue, losses
from recsys_spark.evaluate.losses import BINS, accuracies, best_bin, bins_of, edge, user_losses

logits = st.floats(-20, 20, allow_nan=False, width=32)


def test_docstrings() -> None:
    assert doctest.testmod(losses).failed == 0
    assert doctest.testmod(catalogue).failed == 0


def test_log_loss_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(1)
    scores = random.normal(0, 3, (5, 12)).astype(np.float32)
    positive = np.arange(12) < 2
    found = user_losses(scores, np.broadcast_to(positive, scores.shape), negatives=5)
    for user in range(5):
        probabilities = 1 / (1 + np.exp(-scores[user].astype(float)))
        expected = log_loss(positive, probabilities)
        assert_allclose(found["log_loss"][user] / found["pairs"][user], expected, rtol=1e-6)
        # two positives and ten negatives are the ratio 1 to 5 as they are
        assert_allclose(found["loss"][user] / found["loss_pairs"][user], expected, rtol=1e-6)


def test_loss_weights_the_negatives_as_in_training() -> None:
    scores = np.array([[2.0, -1.0, 0.0, 1.0, -np.inf]])
    positive = np.array([[True, False, False, False, False]])
    found = user_losses(scores, positive, negatives=1)
    of_negatives = np.log1p(np.exp([-1.0, 0.0, 1.0])).mean()
    assert_allclose(found["loss"] / found["loss_pairs"], (np.log1p(np.exp(-2.0)) + of_negatives) / 2)
    assert found["pairs"] == 4


def test_a_user_without_both_kinds_has_no_loss() -> None:
    scores = np.array([[1.0, -np.inf], [-np.inf, 1.0]])
    found = user_losses(scores, np.array([[True, False]] * 2), negatives=1)
    assert all(np.isnan(values).all() for values in found.values())


def test_extreme_logits_have_finite_losses() -> None:
    found = user_losses(np.array([[-500.0, 500.0]]), np.array([[True, False]]), negatives=1)
    assert_allclose(found["log_loss"], 1000.0)


@settings(max_examples=100, deadline=None)
@given(logits)
def test_a_logit_is_at_or_above_the_edge_of_its_bin(logit: float) -> None:
    (found,) = bins_of(np.array([logit]))
    assert 0 <= found < BINS
    assert edge(found) <= logit < edge(found + 1) or found == BINS - 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(logits, st.booleans()), min_size=1, max_size=12))
def test_the_best_threshold_beats_every_other(pairs: list[tuple[float, bool]]) -> None:
    scores, positive = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    wins = np.bincount(bins_of(scores[positive]), minlength=BINS)
    others = np.bincount(bins_of(scores[~positive]), minlength=BINS)
    by_bin = accuracies(wins, others)
    chosen = best_bin(wins, others)
    assert_allclose(by_bin[chosen], accuracy_score(positive, scores >= edge(chosen)))
    tried = [accuracy_score(positive, scores >= edge(bin_)) for bin_ in {0, BINS, *bins_of(scores)}]
    assert by_bin[chosen] >= max(tried) - 1e-12
    assert by_bin[chosen] >= max(positive.mean(), 1 - positive.mean()) - 1e-12
