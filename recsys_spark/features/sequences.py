"""A user's latest positive events, in order: what a sequence model reads."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.schemas import SEQUENCES
from recsys_spark.settings import Fit
from recsys_spark.transform import Transformer, conform

_NEWEST_FIRST = "newest_first"
_STEP = "step"


def sequences(as_of: date, fit: Fit, length: int) -> Transformer:
    """Positive events of a fit -> `schemas.SEQUENCES`: the latest `length` of each user, repeats kept, oldest first.

    O(n log h) for histories of length h, in the partitioning by user that the events come in; an array is never longer
    than `length`.
    """

    def collect(events: DataFrame) -> DataFrame:
        newest_first = F.row_number().over(Window.partitionBy(c.USER_IDX).orderBy(F.desc(c.POSITION)))
        latest = events.withColumn(_NEWEST_FIRST, newest_first).where(F.col(_NEWEST_FIRST) <= length)
        step = F.struct(c.POSITION, c.ITEM_IDX, F.unix_timestamp(c.EVENT_TIME).alias(c.TIMES))
        in_order = latest.groupBy(c.USER_IDX).agg(F.array_sort(F.collect_list(step)).alias(_STEP))
        return in_order.select(
            F.lit(as_of).alias(c.AS_OF_DATE),
            F.lit(fit).alias(c.FIT),
            c.USER_IDX,
            F.col(_STEP)[c.ITEM_IDX].alias(c.ITEMS),
            F.col(_STEP)[c.TIMES].alias(c.TIMES),
            F.size(_STEP).alias(c.LENGTH),
        ).transform(conform(SEQUENCES.schema, SEQUENCES.name))

    return collect
