"""Accuracy at a threshold chosen on validation, beside what always answering with the majority gives.

The scores stay where they are: only histograms of them, of a fixed number of bins, come to the driver.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.evaluate.losses import BINS, accuracies, best_bin, edge
from recsys_spark.evaluate.measures import ALL, SAMPLED, MetricRow
from recsys_spark.evaluate.sampled import BIN, HISTOGRAM, NEGATIVES, POSITIVES, histogram_pass
from recsys_spark.evaluate.subjects import Plan, Subject
from recsys_spark.evaluate.summary import NORMAL_95
from recsys_spark.interactions.split import VALIDATION
from recsys_spark.ranking import Ints

Histograms = dict[tuple[str, str], Ints]  # (model version, part) -> (2, BINS) positives and negatives


def accuracy_rows(plan: Plan, users: DataFrame) -> list[MetricRow]:
    """`accuracy`, `majority_accuracy` and `threshold` of each model on each part of it, of those whose scores are logits.

    The refit was trained on the validation part, so it takes the threshold of the evaluate fit.
    """
    models = [subject for subject in plan.subjects if subject.path is not None and subject.logits]
    if not models:
        return []
    fitted = next(subject for subject in models if subject.fit == "evaluate")
    with_validation = [
        replace(fitted, parts=tuple(dict.fromkeys((VALIDATION, *fitted.parts)))),
        *(subject for subject in models if subject is not fitted),
    ]
    counted = histograms(replace(plan, subjects=with_validation), users)
    on_validation = counted.get((fitted.version, VALIDATION))
    if on_validation is None:
        return []
    threshold = best_bin(*on_validation)
    return [row for subject in models for row in _rows(subject, counted, threshold)]


def _rows(subject: Subject, counted: Histograms, threshold: int) -> Iterator[MetricRow]:
    for part in subject.parts:
        if (subject.version, part) not in counted:
            continue
        positives, negatives = counted[subject.version, part]
        n = int(positives.sum() + negatives.sum())
        accuracy = float(accuracies(positives, negatives)[threshold])
        majority = float(max(positives.sum(), negatives.sum()) / n)
        error = NORMAL_95 * sqrt(accuracy * (1 - accuracy) / n)
        of_part = (subject.version, SAMPLED, part, ALL)
        yield MetricRow(*of_part, "accuracy", None, accuracy, max(0.0, accuracy - error), min(1.0, accuracy + error), n)
        yield MetricRow(*of_part, "majority_accuracy", None, majority, None, None, n)
        yield MetricRow(*of_part, "threshold", None, float(1 / (1 + np.exp(-edge(threshold)))), None, None, n)


def histograms(plan: Plan, users: DataFrame) -> Histograms:
    """How many pairs of known users score in each bin of `losses.bins_of`, of each model on each part of it. O(pairs)."""
    keys = [c.MODEL_VERSION, c.PART, BIN]
    counted = users.mapInArrow(histogram_pass(plan), HISTOGRAM).groupBy(*keys)
    found: Histograms = defaultdict(lambda: np.zeros((2, BINS), np.int64))
    # at most BINS rows a model and part
    for row in counted.agg(F.sum(POSITIVES).alias(POSITIVES), F.sum(NEGATIVES).alias(NEGATIVES)).collect():
        found[row[c.MODEL_VERSION], row[c.PART]][:, row[BIN]] = row[POSITIVES], row[NEGATIVES]
    return dict(found)
