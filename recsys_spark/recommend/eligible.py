"""Who gets a list, and what is known of them when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.feature_settings import CategoricalFeature, DenseFeature
from recsys_spark.features.context_sources import FREQUENCY, values_of_users
from recsys_spark.features.contexts import packed
from recsys_spark.features.knowledge import learnt_of
from recsys_spark.interactions.split import until
from recsys_spark.recommend.blocks import SEEN
from recsys_spark.runs import Run
from recsys_spark.transform import Transformer


def eligible(
    interactions: DataFrame, features: DataFrame, as_of: date, active_days: int, by_positives: bool
) -> DataFrame:
    """`(user_idx, segment, seen)`: users with an event by the date (and lately, if so configured), with all that they had.

    Args:
        by_positives: whether what they had only other events with, as what was shown to them, is none of it.
    """
    had = F.when(F.col(c.POSITIVES) > 0, F.col(c.ITEM_IDX)) if by_positives else F.col(c.ITEM_IDX)
    histories = interactions.groupBy(c.USER_IDX).agg(
        F.array_sort(F.collect_list(had)).alias(SEEN), F.max(c.LAST_TIME).alias(c.EVENT_TIME)
    )
    if active_days:
        histories = histories.where(~until(as_of - timedelta(days=active_days)))
    return histories.drop(c.EVENT_TIME).join(features.select(c.USER_IDX, c.SEGMENT), on=c.USER_IDX, how="left")


def with_latest_items(run: Run, wanted: bool) -> Transformer:
    """Users -> the same with `items`, what they had last, oldest first, and their `times`; null where nothing reads them."""
    if not wanted:
        return lambda users: users.withColumns(
            {c.ITEMS: F.lit(None).cast("array<int>"), c.TIMES: F.lit(None).cast("array<bigint>")}
        )
    sequences = run.tables.read_slice("sequences", {c.AS_OF_DATE: run.as_of, c.FIT: "production"})
    return lambda users: users.join(sequences.select(c.USER_IDX, c.ITEMS, c.TIMES), on=c.USER_IDX, how="left")


def in_context(run: Run, features: DataFrame, known: Sequence[Mapping[str, Any]]) -> Transformer:
    """`eligible` users -> the same with `context`, where the model takes one: the given one, and the user's own recency
    and frequency at the end of the date."""
    learnt = learnt_of(known)
    declared = [one.feature for one in learnt if isinstance(one.feature, CategoricalFeature | DenseFeature)]
    values = values_of_users(declared, run.config.recommend.context, run.as_of)
    latest = features.select(c.USER_IDX, F.col(c.LAST_TIME).alias(c.EVENT_TIME), F.col(c.EVENTS).alias(FREQUENCY))

    def add(users: DataFrame) -> DataFrame:
        if not learnt:
            return users
        return users.join(latest, on=c.USER_IDX, how="left").transform(values).transform(packed(learnt, users.columns))

    return add
