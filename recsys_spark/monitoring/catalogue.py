"""Items, a row each: what was had of them, before and on the day, and the places that they have in the lists."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.explore.groups import frequencies
from recsys_spark.explore.tail import gini
from recsys_spark.monitoring.measures import Figure
from recsys_spark.monitoring.windows import LATE, NOW

PLACES = "places"


def places_of(lists: DataFrame) -> DataFrame:
    """Lists -> `(item_id, places)`, how many places each listed item has."""
    return lists.groupBy(c.ITEM_ID).agg(F.count("*").alias(PLACES))


def of_items(items: DataFrame, head: float, limit: int) -> Iterator[Figure]:
    """How much of the catalogue the lists have, how unevenly, how much of it nobody had of late; the same of events.

    `(item_id, late, now, places)`, the items of events and of lists, `late` counting the days before the day. Items with any
    late event are the active catalogue; its head, a share `head` of them with most such events, and those that equal the last
    of these. Four passes over the items; what comes to the driver is a row, and how many items have each count: at most about
    sqrt(2 x events) rows.
    """
    late = F.when(F.col(LATE) > 0, F.col(LATE))
    least = items.agg(F.percentile(late, F.lit(1.0 - head))).head()
    of_head = F.col(LATE) >= F.lit(least[0] if least is not None else None)
    is_active, is_listed = F.col(LATE) > 0, F.col(PLACES) > 0
    sums = items.agg(
        F.count_if(is_active).alias("active"),
        F.count_if(is_listed).alias("listed"),
        F.count_if(is_active & is_listed).alias("both"),
        F.count_if(is_listed & ~is_active & (F.col(NOW) == 0)).alias("stale"),
        F.sum(NOW).alias("events"),
        F.sum(F.when(of_head, F.col(NOW)).otherwise(0)).alias("events_of_head"),
        F.sum(PLACES).alias("places"),
        F.sum(F.when(of_head, F.col(PLACES)).otherwise(0)).alias("places_of_head"),
    ).head()
    assert sums is not None
    active = items.where(is_active)
    if sums["listed"]:
        yield Figure("stale_items", "", sums["stale"] / sums["listed"], sums["listed"])
    if sums["both"]:
        yield Figure("coverage", "", sums["both"] / sums["active"], sums["active"])
        yield Figure("lists_gini", "", _gini(active, PLACES, limit), sums["active"])
        yield Figure("lists_head_share", "", sums["places_of_head"] / sums["places"], sums["places"])
    if sums["active"]:
        yield Figure("events_gini", "", _gini(active, LATE, limit), sums["active"])
    if sums["active"] and sums["events"]:
        yield Figure("events_head_share", "", sums["events_of_head"] / sums["events"], sums["events"])


def _gini(items: DataFrame, counts: str, limit: int) -> float:
    return gini(frequencies(items.select(F.col(counts).alias(c.EVENTS)), limit))
