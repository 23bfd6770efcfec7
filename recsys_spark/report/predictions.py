"""Scores as predictions: from how many positives and negatives score in each fixed bin to curves and an accuracy.

The bins are those of `evaluate.losses`: 1/64 of a logit wide, the first and the last open. A curve over them is the one over
the scores themselves, but for scores that share a bin. No Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from recsys_spark.evaluate.losses import BINS, accuracies, best_bin, edge
from recsys_spark.explore.entries import Entry, entries
from recsys_spark.interactions.split import TEST, VALIDATION
from recsys_spark.ranking import Floats, Ints

SCORES: Final = "scores"
CALIBRATION: Final = "calibration"
ROC: Final = "roc"
ACCURACY: Final = "accuracy"
_COLUMNS: Final = 40  # of the picture of scores
_LEFT_OUT: Final = 0.001  # of the pairs at each end, on that picture
_POINTS: Final = 100  # of the ROC curve

Histogram = Ints  # (2, BINS): positives, then negatives


def predictions(counted: Mapping[str, Histogram], negatives: int, logits: bool) -> list[Entry]:
    """All figures of the held-out pairs of a model; by part, where it was scored.

    Args:
        counted: histograms by part, those of parts with positives and negatives alone.
        negatives: of a positive, in training.
        logits: whether the sigmoid of a score is a probability: else there is no calibration, and no threshold.
    """
    shown = VALIDATION if VALIDATION in counted else next(iter(counted), None)
    if shown is None:
        return []
    found = [*score_columns(counted[shown], shown), *roc(counted[shown], shown)]
    if logits:
        found += calibration(counted[shown], negatives, shown)
        if VALIDATION in counted:
            found += accuracy(counted)
    return found


def score_columns(histogram: Histogram, part: str) -> list[Entry]:
    """Positives and negatives in columns of one width, labelled by their lower edges; what lies beyond them at either end is in
    the outermost ones."""
    cumulated = np.cumsum(histogram.sum(axis=0))
    low, high = np.searchsorted(cumulated, [_LEFT_OUT * cumulated[-1], (1 - _LEFT_OUT) * cumulated[-1]])
    width = max(1, -(-int(high - low + 1) // _COLUMNS))
    columns = np.clip((np.arange(BINS) - low) // width, 0, int(high - low) // width)
    of_column = [np.bincount(columns, weights=counts) for counts in histogram]
    edges = [_finite_edge(int(low + width * place)) for place in range(len(of_column[0]))]
    rows = {
        f"{left:g}": {"positives": positive, "negatives": negative, "width": width * _bin_width()}
        for left, positive, negative in zip(edges, *of_column, strict=True)
    }
    return entries(SCORES, part, rows)


def roc(histogram: Histogram, part: str) -> list[Entry]:
    """The curve over all pairs together, at so many thresholds at most, and the area under the whole of it."""
    from sklearn.metrics import roc_auc_score, roc_curve

    labels, places, weights = _weighted(histogram)
    false, true, _ = roc_curve(labels, places, sample_weight=weights)
    area = roc_auc_score(labels, places, sample_weight=weights)
    kept = np.unique(np.linspace(0, len(false) - 1, _POINTS).round().astype(int))
    rows = {str(place): {"false": float(false[at]), "true": float(true[at])} for place, at in enumerate(kept)}
    return [*entries(ROC, part, rows), *entries(ROC, "area", {part: {"area": float(area)}})]


def calibration(histogram: Histogram, negatives: int, part: str) -> list[Entry]:
    """In ten classes of the predicted probability its mean, and the share of positives among the pairs: equal, if it is
    calibrated (Niculescu-Mizil and Caruana, 2005, "Predicting good probabilities with supervised learning").

    Candidates have other shares of positives than examples do: negatives are weighted to `negatives` a positive.
    """
    predicted = _probabilities()
    positives, others = histogram.astype(float)
    others = others * negatives * positives.sum() / others.sum()
    classes = np.minimum((predicted * 10).astype(int), 9)
    pairs, right, summed = (
        np.bincount(classes, weights=of, minlength=10)
        for of in (positives + others, positives, predicted * (positives + others))
    )
    rows = {
        f"{place / 10:g}": {
            "predicted": summed[place] / pairs[place],
            "observed": right[place] / pairs[place],
            "pairs": float(histogram[:, classes == place].sum()),
        }
        for place in np.flatnonzero(pairs)
    }
    return entries(CALIBRATION, part, rows)


def accuracy(counted: Mapping[str, Histogram]) -> list[Entry]:
    """On each part, at the threshold that is best on validation, beside what always answering with the majority gives."""
    threshold = best_bin(*counted[VALIDATION])
    rows = {}
    for part in (VALIDATION, TEST):
        if part in counted:
            positives, negatives = (float(of.sum()) for of in counted[part])
            rows[part] = {
                ACCURACY: float(accuracies(*counted[part])[threshold]),
                "majority": max(positives, negatives) / (positives + negatives),
                "pairs": positives + negatives,
            }
    at = float(1 / (1 + np.exp(-edge(threshold))))
    return [*entries(ACCURACY, "", rows), *entries(ACCURACY, "threshold", {VALIDATION: {"threshold": at}})]


def _weighted(histogram: Histogram) -> tuple[Ints, Ints, Floats]:
    """Labels, bins and counts, as scikit-learn takes pairs with weights; what is empty left out."""
    labels, places, weights = np.repeat([1, 0], BINS), np.tile(np.arange(BINS), 2), histogram.ravel().astype(float)
    filled = weights > 0
    return labels[filled], places[filled], weights[filled]


def _probabilities() -> npt.NDArray[np.float64]:
    """The sigmoid of the middle of each bin; 0 and 1 nearly, of the open ones."""
    edges = np.array([edge(place) for place in range(1, BINS)])
    middles = np.concatenate((edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]))
    probabilities: npt.NDArray[np.float64] = 1 / (1 + np.exp(-middles))
    return probabilities


def _finite_edge(place: int) -> float:
    return edge(1) - _bin_width() if place == 0 else edge(place)


def _bin_width() -> float:
    return edge(2) - edge(1)
