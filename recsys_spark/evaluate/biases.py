"""What values are like before any model: their mean, and how far each user and item lies from it, shrunk towards it.

Koren, 2010, "Factor in the neighbors: scalable and accurate collaborative filtering", section 2.1: with mean `m` and
shrinkage `s`, item i has the bias `b_i = sum over its users of (value - m) / (s + their number)`, user u then
`b_u = sum over its items of (value - m - b_i) / (s + their number)`, and a pair's value is predicted as `m + b_u + b_i`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.errors import UserError
from recsys_spark.interactions.pairs import value_in
from recsys_spark.interactions.split import TRAIN
from recsys_spark.ranking import Floats
from recsys_spark.runs import Run
from recsys_spark.transform import Transformer

USER_BIAS: Final = "user_bias"
_ITEM_BIAS: Final = "item_bias"


@dataclass(frozen=True)
class ItemBiases:
    """The mean of the train values, and the bias of each item by `item_idx`, 0 for one without a train value."""

    mean: float
    of_item: Floats  # (n_items,)


@dataclass(frozen=True)
class TrainValues:
    """The pairs of the train part that have a value, `(user_idx, item_idx, value)`, and what biases are taken by."""

    pairs: DataFrame
    mean: float
    shrinkage: float


def train_values(run: Run) -> TrainValues:
    """The values of the date's train part.

    Raises:
        UserError: no event of the train part has a value.
    """
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    with_value = interactions.select(c.USER_IDX, c.ITEM_IDX, value_in(TRAIN).alias(c.VALUE)).where("value IS NOT NULL")
    mean = with_value.agg(F.avg(c.VALUE)).head()
    if mean is None or mean[0] is None:
        raise UserError(
            f"evaluate.protocols has `ratings`, but no train event up to {run.as_of} has an event_value: leave the "
            "protocol out, or ingest the values and run jobs/index.py and jobs/examples.py again"
        )
    return TrainValues(with_value, float(mean[0]), run.config.evaluate.bias_shrinkage)


def item_biases(values: TrainValues, n_items: int, limit: int) -> ItemBiases:
    """The biases of the items on the driver, at most `limit` bytes of them. O(pairs), one shuffle by item."""
    frame = values.pairs.transform(_of_items(values))
    found = collect_columns(frame, [c.ITEM_IDX, _ITEM_BIAS], "biases of the items", limit)
    of_item = np.zeros(n_items)
    of_item[found[c.ITEM_IDX]] = found[_ITEM_BIAS]
    return ItemBiases(values.mean, of_item)


def with_user_bias(values: TrainValues) -> Transformer:
    """Rows with `user_idx` -> the same with `user_bias`, 0 for users without a train value.

    O(pairs), a shuffle by item and one by user; nothing of it comes to the driver.
    """
    of_items = values.pairs.transform(_of_items(values))
    left_over = F.col(c.VALUE) - values.mean - F.col(_ITEM_BIAS)
    with_item = values.pairs.join(F.broadcast(of_items), on=c.ITEM_IDX, how="inner")
    of_users = with_item.groupBy(c.USER_IDX).agg(_shrunk(left_over, values.shrinkage).alias(USER_BIAS))

    def join(rows: DataFrame) -> DataFrame:
        joined = rows.join(of_users, on=c.USER_IDX, how="left")
        return joined.withColumn(USER_BIAS, F.coalesce(F.col(USER_BIAS), F.lit(0.0)))

    return join


def _of_items(values: TrainValues) -> Transformer:
    bias = _shrunk(F.col(c.VALUE) - values.mean, values.shrinkage)
    return lambda pairs: pairs.groupBy(c.ITEM_IDX).agg(bias.alias(_ITEM_BIAS))


def _shrunk(deviation: Column, shrinkage: float) -> Column:
    return F.sum(deviation) / (F.count("*") + shrinkage)
