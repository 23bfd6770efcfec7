"""The ratings protocol: how far predicted values are from those of the held-out events, beside two baselines.

The figures are over all target pairs that have a value, so a user counts as often as it has such targets:
`RMSE = sqrt(sum (predicted - value)^2 / pairs)`, `MAE = sum |predicted - value| / pairs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Broadcast

from recsys_spark import columns as c
from recsys_spark.evaluate.biases import USER_BIAS, ItemBiases
from recsys_spark.evaluate.blocks import ArrowPass, Batches, Lists, blocks, column_of
from recsys_spark.evaluate.measures import ALL, CATALOGUE, Measure, MetricRow, to_arrow
from recsys_spark.evaluate.scorers import Int32s, Scorer
from recsys_spark.evaluate.subjects import Plan, Subject, in_context, open_scorer
from recsys_spark.ranking import Floats
from recsys_spark.recommend.histories import users_of

GLOBAL_MEAN: Final = "global_mean"
BIASES: Final = "biases"

_MSE: Final = "mse"
# a mean of squares is a ratio of sums over users, its root is not: the root is drawn from the finished figure
ERRORS: Final = [
    Measure(_MSE, None, "squared", "pairs", most=None),
    Measure("mae", None, "absolute", "pairs", most=None),
]


def rating_baselines(parts: tuple[str, ...]) -> list[Subject]:
    """The mean of all train values, and that mean with the biases of user and item (see `biases.py`)."""
    return [Subject(name, name, "evaluate", parts) for name in (GLOBAL_MEAN, BIASES)]


def ratings_pass(plan: Plan, baselines: Sequence[Subject], biases: Broadcast[ItemBiases]) -> ArrowPass:
    """Eval users with `user_bias` -> `measures.user_rows` of `ERRORS`. O(targets) a subject.

    Models that predict no ratings have no rows. A pair whose user or item a model does not know counts with the
    prediction of the biases, as it would be shown.
    """

    def measured(batches: Batches) -> Iterator[pa.RecordBatch]:
        models = [(subject, open_scorer(subject, plan)) for subject in plan.subjects if subject.path is not None]
        subjects: list[tuple[Subject, Scorer | None]] = [(subject, None) for subject in baselines]
        subjects += [(subject, scorer) for subject, scorer in models if scorer.predicts_ratings]
        for users in blocks(batches, plan.block_users):
            for subject, scorer in subjects:
                of_parts = users.filter(pc.is_in(users.column(c.PART), value_set=pa.array(subject.parts)))
                if of_parts.num_rows:
                    yield _errors(subject, scorer, of_parts, biases.value)

    return measured


def root_of_squares(row: MetricRow) -> MetricRow:
    """The row of `mse` as that of `rmse`, its interval's ends with it; other rows as they are."""
    if row.metric != _MSE:
        return row
    low, high = (None if end is None else sqrt(end) for end in (row.low, row.high))
    return row._replace(metric="rmse", value=sqrt(row.value), low=low, high=high)


def _errors(subject: Subject, scorer: Scorer | None, users: pa.RecordBatch, biases: ItemBiases) -> pa.RecordBatch:
    targets = Lists.of(users, c.TARGETS).padded()  # (U, C)
    values = np.full(targets.shape, np.nan)
    values[targets >= 0] = users.column(c.VALUES).flatten().to_numpy(zero_copy_only=False)
    has_value = ~np.isnan(values)
    errors = np.where(has_value, _predicted(subject, scorer, users, targets, biases) - values, 0.0)
    if np.isnan(errors).any():
        raise ValueError(f"{subject.version} predicts NaN")
    pairs = has_value.sum(axis=1)
    sums = {"squared": (errors**2).sum(axis=1), "absolute": np.abs(errors).sum(axis=1), "pairs": pairs}
    figures = {name: np.where(pairs > 0, summed, np.nan) for name, summed in sums.items()}
    labels = {c.MODEL_VERSION: subject.version, c.SEGMENT: ALL, CATALOGUE: len(biases.of_item)}
    return to_arrow(ERRORS, users, labels, figures)


def _predicted(
    subject: Subject, scorer: Scorer | None, users: pa.RecordBatch, targets: Int32s, biases: ItemBiases
) -> Floats:
    """Predicted values (U, C) of the targets; what stands at padding does not matter."""
    if subject.version == GLOBAL_MEAN:
        return np.full(targets.shape, biases.mean)
    by_biases: Floats = biases.mean + column_of(users, USER_BIAS)[:, None] + biases.of_item[targets]
    if scorer is None:
        return by_biases
    given = users_of(in_context(users, subject.fit), scorer.history, scorer.n_items)
    known = (targets >= 0) & (targets < scorer.n_items) & scorer.knows(given)[:, None]
    return np.where(known, scorer.scores(given, np.where(known, targets, 0)), by_biases)
