"""Items, a row each: what was had of them, before and on the day, and the places that they have in the lists."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.explore.groups import frequencies
from recsys_spark.explore.tail import gini
from recsys_spark.monitoring.measures import Figure
from recsys_spark.monitoring.windows import LATE, NOW

PLACES = "places"
_HEAD = "head"


def places_of(lists: DataFrame) -> DataFrame:
    """Lists -> `(item_id, places)`, how many places each listed item has."""
    return lists.groupBy(c.ITEM_ID).agg(F.count("*").alias(PLACES))


def of_events(items: DataFrame, head: float, limit: int) -> list[Figure]:
    """How unevenly events fall: the head's share of the day's, and the Gini index of late ones over the active catalogue.

    `(item_id, late, now)`, where `late` counts the days before the day and `now` the day. The head are the items with most late
    events, a share `head` of the active catalogue, and those that equal the last of them.
    """
    found = _head_shares(items.withColumn(PLACES, F.lit(0)), head)
    if found is None:
        return []
    share, _, n, _ = found
    active = items.where(F.col(LATE) > 0)
    return [
        *([Figure("events_head_share", "", share, n)] if share is not None else []),
        Figure("events_gini", "", gini(frequencies(active.withColumnRenamed(LATE, c.EVENTS), limit)), active.count()),
    ]


def of_lists(items: DataFrame, head: float, limit: int) -> list[Figure]:
    """How much of the catalogue the lists have, how unevenly, and how much of it nobody had of late.

    `(item_id, late, now, places)`, the items of events and of lists. Some three passes over them; what comes to the driver is
    a row, and how many items have each number of places: at most about sqrt(2 x places) rows.
    """
    active, listed = F.col(LATE) > 0, F.col(PLACES) > 0
    found = items.agg(
        F.count_if(active).alias("active"),
        F.count_if(listed).alias("listed"),
        F.count_if(active & listed).alias("both"),
        F.count_if(listed & ~active & (F.col(NOW) == 0)).alias("stale"),
    ).head()
    assert found is not None
    stale = [Figure("stale_items", "", found["stale"] / found["listed"], found["listed"])] if found["listed"] else []
    shares = _head_shares(items, head) if found["both"] else None
    if shares is None or shares[1] is None:
        return stale
    known = items.where(active).select(F.col(PLACES).alias(c.EVENTS))
    return [
        Figure("coverage", "", found["both"] / found["active"], found["active"]),
        *stale,
        Figure("lists_gini", "", gini(frequencies(known, limit)), found["active"]),
        Figure("lists_head_share", "", shares[1], shares[3]),
    ]


def _head_shares(items: DataFrame, head: float) -> tuple[float | None, float | None, int, int] | None:
    """The head's share of the day's events and of the places, and how many there are of each; None: there is no head."""
    late = F.when(F.col(LATE) > 0, F.col(LATE))
    least = items.agg(F.percentile(late, F.lit(1.0 - head))).head()
    if least is None or least[0] is None:
        return None
    of_head = F.col(LATE) >= least[0]
    sums = items.agg(
        F.sum(F.when(of_head, F.col(NOW)).otherwise(0)).alias(NOW + _HEAD),
        F.sum(F.when(of_head, F.col(PLACES)).otherwise(0)).alias(PLACES + _HEAD),
        F.sum(NOW).alias(NOW),
        F.sum(PLACES).alias(PLACES),
    ).head()
    assert sums is not None
    shares = [sums[name + _HEAD] / sums[name] if sums[name] else None for name in (NOW, PLACES)]
    return shares[0], shares[1], sums[NOW], sums[PLACES]
