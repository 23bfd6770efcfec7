from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.examples.propensities import propensities_of


def test_items_that_differ_do_not_hide_how_positions_differ():
    # item 0 is wanted twice as often as item 1, and stands on top more often: 8 of 10 clicks, and 20 of 50
    shown = np.array([[100.0, 10.0], [20.0, 50.0]])
    clicked = shown * np.array([[0.8], [0.4]]) * np.array([1.0, 0.25])
    np.testing.assert_allclose(propensities_of(shown, clicked), [1.0, 0.25], rtol=1e-6)
    naive = clicked.sum(axis=0) / shown.sum(axis=0)
    assert naive[1] / naive[0] < 0.2  # the plain click rate takes the better item for the better position


def test_a_position_never_shown_has_none_and_one_never_clicked_is_nothing():
    shown = np.array([[10.0, 0.0, 5.0]])
    np.testing.assert_array_equal(propensities_of(shown, np.array([[5.0, 0.0, 0.0]])), [1.0, np.nan, 0.0])
    np.testing.assert_array_equal(propensities_of(shown, np.zeros((1, 3))), [0.0, np.nan, 0.0])


@pytest.mark.parametrize("seed", range(3))
def test_a_log_drawn_from_known_propensities_gives_them_back(seed):
    draw = np.random.default_rng(seed)
    known, wanted = 1.0 / np.arange(1, 6), draw.uniform(0.05, 0.9, 200)
    shown = draw.integers(0, 400, (200, 5)).astype(float)
    clicked = draw.binomial(shown.astype(int), known * wanted[:, None]).astype(float)
    np.testing.assert_allclose(propensities_of(shown, clicked), known, atol=0.02)
