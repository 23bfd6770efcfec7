"""What is known of a user or an item at a cut: counts, first and last time, mean value."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.schemas import ITEM_FEATURES, USER_FEATURES
from recsys_spark.settings import Fit
from recsys_spark.transform import Transformer, conform, user_attribute


def user_features(as_of: date, fit: Fit, segments: DataFrame) -> Transformer:
    """Positive events of a fit -> `schemas.USER_FEATURES`; `segments` is `(user_idx, segment)`.

    O(events), in the partitioning by user that the events come in.
    """

    def aggregate(events: DataFrame) -> DataFrame:
        counted = events.groupBy(c.USER_IDX).agg(
            F.count("*").alias(c.EVENTS), F.countDistinct(c.ITEM_IDX).alias(c.ITEMS), *_when_and_how_much()
        )
        with_segment = counted.join(segments, on=c.USER_IDX, how="left")
        return with_segment.transform(_slice(as_of, fit)).transform(conform(USER_FEATURES.schema, USER_FEATURES.name))

    return aggregate


def item_features(as_of: date, fit: Fit) -> Transformer:
    """Positive events of a fit -> `schemas.ITEM_FEATURES`. O(events), one shuffle by item."""

    def aggregate(events: DataFrame) -> DataFrame:
        counted = events.groupBy(c.ITEM_IDX).agg(
            F.count("*").alias(c.EVENTS), F.countDistinct(c.USER_IDX).alias(c.USERS), *_when_and_how_much()
        )
        return counted.transform(_slice(as_of, fit)).transform(conform(ITEM_FEATURES.schema, ITEM_FEATURES.name))

    return aggregate


def segments(users: DataFrame, attributes: DataFrame, name: str) -> DataFrame:
    """`(user_idx, segment)`: the attribute `name` of each user, a column of its own or a key of the map."""
    of_id = attributes.select(c.USER_ID, user_attribute(name).alias(c.SEGMENT))
    return users.select(c.USER_ID, c.USER_IDX).join(of_id, on=c.USER_ID, how="inner").select(c.USER_IDX, c.SEGMENT)


def _when_and_how_much() -> list[Column]:
    return [
        F.min(c.EVENT_TIME).alias(c.FIRST_TIME),
        F.max(c.EVENT_TIME).alias(c.LAST_TIME),
        F.avg(c.EVENT_VALUE).alias(c.MEAN_VALUE),
    ]


def _slice(as_of: date, fit: Fit) -> Transformer:
    return lambda frame: frame.withColumn(c.AS_OF_DATE, F.lit(as_of)).withColumn(c.FIT, F.lit(fit))
