"""Who is evaluated: each user's held-out items, what they are ranked among, and what the user had before."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.interactions.pairs import positives_in
from recsys_spark.interactions.split import TEST, TRAIN, VALIDATION
from recsys_spark.transform import Transformer

USER_SEGMENT: Final = "user_segment"
CONTEXT_OF: Final = {"evaluate": "context_evaluate", "refit": "context_refit"}
TRAIN_ITEMS: Final = "train_items"
VALIDATION_ITEMS: Final = "validation_items"

NEW, LIGHT, HEAVY = "users_new", "users_light", "users_heavy"


def with_segment(user_features: DataFrame, light: int) -> Transformer:
    """Eval examples -> the same with `user_segment`, by how many different items the user took in train."""
    items = F.coalesce(F.col(c.ITEMS), F.lit(0))
    segment = F.when(items == 0, NEW).when(items <= light, LIGHT).otherwise(HEAVY)

    def join(examples: DataFrame) -> DataFrame:
        counted = examples.join(user_features.select(c.USER_IDX, c.ITEMS), on=c.USER_IDX, how="left")
        return counted.withColumn(USER_SEGMENT, segment).drop(c.ITEMS)

    return join


def with_history(interactions: DataFrame) -> Transformer:
    """Eval examples -> the same with the user's items of the train part and of the validation part, as lists.

    One shuffle of the interactions by user.
    """
    by_user = interactions.groupBy(c.USER_IDX).agg(
        _items_in(TRAIN).alias(TRAIN_ITEMS), _items_in(VALIDATION).alias(VALIDATION_ITEMS)
    )
    nothing = F.array().cast("array<int>")

    def join(examples: DataFrame) -> DataFrame:
        joined = examples.join(by_user, on=c.USER_IDX, how="left")
        for name in (TRAIN_ITEMS, VALIDATION_ITEMS):
            joined = joined.withColumn(name, F.coalesce(F.col(name), nothing))
        return joined

    return join


def with_latest_items(sequences: DataFrame) -> Transformer:
    """Eval examples -> the same with `items`, the user's latest before the part, oldest first; null where there are none.

    Validation is predicted from the train part, test from train and validation, which the fits `evaluate` and `refit`
    of `sequences` hold. One shuffle by user.
    """
    cut = F.when(F.col(c.FIT) == "evaluate", VALIDATION).when(F.col(c.FIT) == "refit", TEST)
    of_part = sequences.select(c.USER_IDX, cut.alias(c.PART), c.ITEMS).where(F.col(c.PART).isNotNull())
    return lambda examples: examples.join(of_part, on=[c.USER_IDX, c.PART], how="left")


def with_context(contexts: DataFrame) -> Transformer:
    """Eval examples -> the same with the context of the user's first event in the part, a column a fit (`CONTEXT_OF`), as
    each fit encodes it. One shuffle by user."""
    first = contexts.groupBy(c.USER_IDX, c.PART).agg(
        *[
            F.min_by(c.CONTEXT, F.when(F.col(c.FIT) == fit, F.col(c.POSITION))).alias(column)
            for fit, column in CONTEXT_OF.items()
        ]
    )
    return lambda examples: examples.join(first, on=[c.USER_IDX, c.PART], how="left")


def spread(partitions: int) -> Transformer:
    """Rows of a user beside each other, and users over so many tasks: a small frame may be long work."""
    return lambda frame: frame.repartition(partitions, c.USER_IDX).sortWithinPartitions(c.USER_IDX, c.PART)


def _items_in(part: str) -> Column:
    return F.sort_array(F.collect_list(F.when(positives_in(part) > 0, F.col(c.ITEM_IDX))))
