"""What is told of a sample of users: quantiles of the values by year and by group, and how often something is taken again.

Users are chosen by hash, with all their events, so that repeats are whole; within the sample all quantiles are exact. Where the
sample is everyone, so is what is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_aggregate
from recsys_spark.explore.described import attribute, categories
from recsys_spark.explore.entries import ALL, OTHERS, QUANTILES, SUMMARY, Entry, Statistics, entries
from recsys_spark.transform import in_sample

_TIMES: Final = 10  # that often or more is one class
_YEAR, _GROUP = "year", "group"


def sample_of(events: DataFrame, share: float, seed: int) -> DataFrame:
    """Events -> `(user_id, item_id, year, event_value)` of a share of the users."""
    chosen = events if share >= 1.0 else events.where(in_sample(share, seed, c.USER_ID))
    return chosen.select(c.USER_ID, c.ITEM_ID, F.year(c.EVENT_TIME).cast("string").alias(_YEAR), c.EVENT_VALUE)


def repeats(sample: DataFrame, limit: int) -> list[Entry]:
    """How many pairs of user and item there are by how often the user took the item, and the events of those pairs."""
    pairs = sample.groupBy(c.USER_ID, c.ITEM_ID).agg(F.count("*").alias("taken"))
    classes = pairs.groupBy(F.least("taken", F.lit(_TIMES)).alias("times"))
    counted = classes.agg(F.count("*").alias("pairs"), F.sum("taken").alias(c.EVENTS)).orderBy("times")
    rows = collect_aggregate(counted, "classes of repeats", limit)
    named = {f"{row['times']}{'+' if row['times'] == _TIMES else ''}": row for row in rows}
    figures = {label: {"pairs": row["pairs"], c.EVENTS: row[c.EVENTS]} for label, row in named.items()}
    return entries("repeats", "", figures)


def values_by_year(sample: DataFrame, limit: int) -> list[Entry]:
    """Quantiles of the values by the year of the event."""
    found = _quantiles(sample, [_YEAR])
    rows = collect_aggregate(found.orderBy(_YEAR), "years", limit)
    return entries("values_by_year", "", {row[_YEAR]: _statistics(row.asDict()) for row in rows})


def values_by_group(
    sample: DataFrame,
    users: DataFrame,
    items: DataFrame,
    by: str,
    groups: Sequence[str],
    shown: Sequence[str],
    limit: int,
) -> list[Entry]:
    """Quantiles of the values by demographic and category.

    Args:
        users: with their attributes, of which `by` counts; its values beside `groups` are one. No groups: all are one.
        items: with their categories; those beside `shown` are one. None shown: all are one.
    """
    named = _named(attribute(by), groups).alias(_GROUP)
    told = sample.join(users.select(c.USER_ID, named), on=c.USER_ID, how="inner")
    label: Column = F.lit(ALL)
    if shown:
        told = told.join(items.select(c.ITEM_ID, categories().alias(c.CATEGORY)), on=c.ITEM_ID, how="inner")
        label = _named(F.col(c.CATEGORY), shown)
    rows = collect_aggregate(_quantiles(told.withColumn(c.LABEL, label), [c.LABEL, _GROUP]), "groups of values", limit)
    found = {(row[_GROUP], row[c.LABEL]): _statistics(row.asDict()) for row in rows}
    told_apart = entries("values_by_group", SUMMARY, {by or ALL: {"n": len(groups)}}) if found else []
    in_order = [*shown, OTHERS] if shown else [ALL]
    for group in [*groups, OTHERS] if groups else [ALL]:
        rows_of_group = {one: found[group, one] for one in in_order if (group, one) in found}
        told_apart += entries("values_by_group", group, rows_of_group)
    return told_apart


def _named(value: Column, names: Sequence[str]) -> Column:
    return F.when(value.isin(*names), value).otherwise(OTHERS) if names else F.lit(ALL)


def _quantiles(rows: DataFrame, keys: Sequence[str]) -> DataFrame:
    """Exact, and between two values on the line that joins them (numpy's default, Hyndman and Fan's type 7)."""
    with_value = rows.where(F.col(c.EVENT_VALUE).isNotNull())
    at = F.percentile(c.EVENT_VALUE, list(QUANTILES.values())).alias("at")
    return with_value.groupBy(*keys).agg(F.count("*").alias("n"), F.avg(c.EVENT_VALUE).alias("mean"), at)


def _statistics(row: dict[str, Any]) -> Statistics:
    at = row["at"]
    return {"n": row["n"], "mean": row["mean"], **dict(zip(QUANTILES, at, strict=True))}
