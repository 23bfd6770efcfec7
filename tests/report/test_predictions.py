"""Curves over the bins, beside scikit-learn's over the scores themselves."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

from recsys_spark.evaluate.losses import BINS, bins_of
from recsys_spark.explore.entries import Entries
from recsys_spark.report.predictions import ACCURACY, CALIBRATION, ROC, SCORES, predictions

NEGATIVES = 4
RNG = np.random.default_rng(5)
LABELS = np.repeat([1, 0], [200, 200 * NEGATIVES])


def drawn(shift: float) -> np.ndarray:
    """Logits, one in the middle of each bin of 1/64, so that bins tell them apart as well as they themselves do."""
    scores = RNG.normal(0, 1.5, len(LABELS)) + shift * LABELS
    return np.floor(scores * 64) / 64 + 1 / 128


def histogram(scores: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(bins_of(scores[label == LABELS]), minlength=BINS) for label in (1, 0)])


SCORED = {part: drawn(shift) for part, shift in (("validation", 1.5), ("test", 1.0))}
COUNTED = {part: histogram(scores) for part, scores in SCORED.items()}


@pytest.fixture(scope="module")
def found() -> Entries:
    return Entries(predictions(COUNTED, NEGATIVES, logits=True))


def test_roc_is_that_of_the_scores(found):
    scores = SCORED["validation"]
    assert found.figure(ROC, "validation", "area", "area") == pytest.approx(roc_auc_score(LABELS, scores))
    false, true, _ = roc_curve(LABELS, scores, drop_intermediate=False)
    points = list(found.rows(ROC, "validation").values())
    assert len(points) == 100 and points[-1] == {"false": 1.0, "true": 1.0}
    known = set(zip(false.round(9), true.round(9), strict=True))
    assert all((round(point["false"], 9), round(point["true"], 9)) in known for point in points)


def test_calibration_is_that_of_the_probabilities(found):
    probabilities = 1 / (1 + np.exp(-SCORED["validation"]))
    observed, predicted = calibration_curve(LABELS, probabilities, n_bins=10)
    rows = found.rows(CALIBRATION, "validation").values()
    assert [row["observed"] for row in rows] == pytest.approx(observed)
    assert [row["predicted"] for row in rows] == pytest.approx(predicted)


def test_negatives_weigh_as_in_training():
    halved = {"validation": COUNTED["validation"] * np.array([[1], [3]])}
    once, thrice = (Entries(predictions(counted, NEGATIVES, True)) for counted in (COUNTED, halved))
    for label, row in once.rows(CALIBRATION, "validation").items():
        assert thrice.figure(CALIBRATION, label, "observed", "validation") == pytest.approx(row["observed"])


def test_the_threshold_is_best_on_validation_and_measured_on_test(found):
    by_threshold = {
        cut: accuracy_score(LABELS, SCORED["validation"] >= cut) for cut in np.unique(SCORED["validation"]) - 1 / 128
    }
    threshold = found.figure(ACCURACY, "validation", "threshold", "threshold")
    assert threshold is not None
    logit = np.log(threshold / (1 - threshold))
    rows = found.rows(ACCURACY)
    assert rows["validation"][ACCURACY] == pytest.approx(max(by_threshold.values()))
    assert rows["test"][ACCURACY] == pytest.approx(accuracy_score(LABELS, SCORED["test"] >= logit))
    assert rows["test"]["majority"] == pytest.approx(NEGATIVES / (1 + NEGATIVES))  # 800 of 1,000 are negatives
    assert rows["test"]["pairs"] == 1000


def test_columns_hold_every_pair_once(found):
    rows = found.rows(SCORES, "validation")
    for name, label in (("positives", 1), ("negatives", 0)):
        assert sum(row[name] for row in rows.values()) == (label == LABELS).sum()
    edges = [float(label) for label in rows]
    inner = np.histogram(SCORED["validation"][LABELS == 1], [*edges[1:], np.inf])[0]
    assert [row["positives"] for row in rows.values()][1:] == inner.tolist()
    assert len(rows) <= 41


def test_scores_that_are_no_logits_have_neither_calibration_nor_threshold():
    found = Entries(predictions(COUNTED, NEGATIVES, logits=False))
    assert found.series(SCORES) and found.series(ROC) and not found.series(CALIBRATION) and not found.series(ACCURACY)
    assert predictions({}, NEGATIVES, logits=True) == []
    without = Entries(predictions({"test": COUNTED["test"]}, NEGATIVES, logits=True))
    assert without.series(CALIBRATION) == ["test"] and not without.series(ACCURACY)
