"""One row a user and item: how often, when, and in which part of the split."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.interactions.split import TEST, TRAIN, VALIDATION
from recsys_spark.schemas import INTERACTIONS
from recsys_spark.transform import Transformer, conform

_POSITIVES_OF_PART = {
    TRAIN: c.TRAIN_POSITIVES,
    VALIDATION: c.VALIDATION_POSITIVES,
    TEST: c.TEST_POSITIVES,
}
_VALUE_OF_PART = {  # in the order of time
    TRAIN: c.TRAIN_VALUE,
    VALIDATION: c.VALIDATION_VALUE,
    TEST: c.TEST_VALUE,
}


def interactions(as_of: date) -> Transformer:
    """Labelled events -> `schemas.INTERACTIONS`, in the partitioning by user that they come in: no further shuffle.

    The parts are counted apart, so that a fit can take what its cut allows and nothing past it. A pair's value in a part
    is that of its latest positive there: a rating given again stands in the place of the one before.
    """

    def aggregate(events: DataFrame) -> DataFrame:
        is_positive = F.col(c.POSITIVE).cast("long")
        in_part = [
            F.sum(F.when(F.col(c.PART) == part, is_positive).otherwise(0)).alias(name)
            for part, name in _POSITIVES_OF_PART.items()
        ]
        has_value = F.col(c.POSITIVE) & F.col(c.EVENT_VALUE).isNotNull()
        value_in_part = [
            F.max_by(c.EVENT_VALUE, F.when(has_value & (F.col(c.PART) == part), F.col(c.POSITION))).alias(name)
            for part, name in _VALUE_OF_PART.items()
        ]
        pairs = events.groupBy(c.USER_IDX, c.ITEM_IDX).agg(
            F.count("*").alias(c.EVENTS),
            F.sum(is_positive).alias(c.POSITIVES),
            *in_part,
            F.min(c.EVENT_TIME).alias(c.FIRST_TIME),
            F.max(c.EVENT_TIME).alias(c.LAST_TIME),
            F.max_by(c.EVENT_VALUE, c.POSITION).alias(c.LAST_VALUE),
            *value_in_part,
        )
        return pairs.withColumn(c.AS_OF_DATE, F.lit(as_of)).transform(conform(INTERACTIONS.schema, INTERACTIONS.name))

    return aggregate


def positives_in(*parts: str) -> Column:
    """How many positives of the pair fall in these parts."""
    total = F.lit(0)
    for part in parts:
        total = total + F.col(_POSITIVES_OF_PART[part])
    return total


def value_in(*parts: str) -> Column:
    """The pair's value in the latest of these parts that has one, null where none has."""
    latest_first = [name for part, name in reversed(_VALUE_OF_PART.items()) if part in parts]
    return F.coalesce(*latest_first)


def is_target(part: str, repeats: bool) -> Column:
    """Whether the pair is to be found in `part`: taken in it and, unless repeats may be targets, not before it."""
    taken = positives_in(part) > 0
    if repeats:
        return taken
    before = [TRAIN] if part == VALIDATION else [TRAIN, VALIDATION]
    return taken & (positives_in(*before) == 0)
