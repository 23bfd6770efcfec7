from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import minimize

from recsys_spark.errors import UserError
from recsys_spark.recommend import calibration
from recsys_spark.recommend.calibration import platt
from tests.recommend.blocks import ITEMS, Matrix


def test_the_sigmoid_is_that_of_the_greatest_likelihood():
    rng = np.random.default_rng(1)
    scores = rng.normal(5.0, 3.0, 400)
    taken = (rng.random(400) < 1 / (1 + np.exp(-(0.8 * scores - 4)))).astype(np.int32)
    weights = np.where(taken == 1, 1.0, 7.0)

    def loss(found):
        logits = found[0] * scores + found[1]
        return (weights * (np.logaddexp(0, logits) - taken * logits)).sum()

    expected = minimize(loss, [0.1, 0.0], method="BFGS", tol=1e-10).x
    found = platt(scores, taken, weights)
    assert (found.slope, found.shift) == pytest.approx(tuple(expected), rel=1e-3)


def test_scores_that_tell_nothing_are_refused():
    with pytest.raises(UserError, match="higher scores are not taken more often"):
        platt(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1, 1, 0, 0]), np.ones(4))
    with pytest.raises(UserError, match="no pairs to learn it from"):
        platt(np.array([0.0, 1.0]), np.array([0, 0]), np.ones(2))


def test_pairs_stand_for_the_items_they_were_drawn_from(monkeypatch):
    # 6 items; user 0 has a target and two candidates of the other five, user 1 is unknown
    monkeypatch.setattr(calibration, "load_scorer", lambda path: Matrix([[6, 5, 4, 3, 2, 1]]))
    block = pa.RecordBatch.from_arrays(
        [pa.array([0, 1], pa.int32()), pa.array([[1], [0]], ITEMS), pa.array([[3, 5], [2]], ITEMS)],
        ["user_idx", "targets", "candidates"],
    )
    scores, taken, weights = calibration._pairs("path", block)
    assert scores.tolist() == [5, 3, 1]
    assert taken.tolist() == [1, 0, 0]
    assert weights.tolist() == [1, 5 / 2, 5 / 2]
