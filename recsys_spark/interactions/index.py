"""Append-only dense indices for users and items: an index once given never moves, new ids take the next ones.

The new ids are numbered in sorted order without a global window, a collect or a second look at physical partitions:
boundaries cut the ids into buckets, each bucket is numbered by itself, and the counts of the buckets before it are its
offset. Whichever boundaries are chosen, the result is the ids' sorted order, so the plan may be computed twice, in any
partitioning, and still gives the same indices (ADR 0002).
"""

from __future__ import annotations

from itertools import accumulate
from math import ceil

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.tables import Tables

_SAMPLE_PER_BUCKET = 32
_BUCKET = "bucket"


def new_ids(events: DataFrame, index: DataFrame, id_column: str) -> DataFrame:
    """The distinct ids in `events` that the index lacks: one shuffle of the ids, O(events)."""
    return events.select(id_column).distinct().join(index.select(id_column), on=id_column, how="left_anti")


def number(ids: DataFrame, id_column: str, idx_column: str, first: int, ids_per_bucket: int = 500_000) -> DataFrame:
    """`ids` (one distinct string column) numbered in sorted order from `first`.

    Only the bucket boundaries and counts, `ids / ids_per_bucket` of each, come to the driver. O(n log n) over n new
    ids, in one shuffle by bucket.
    """
    total = ids.count()
    bucketed = ids.withColumn(_BUCKET, _bucket(F.col(id_column), _boundaries(ids, id_column, total, ids_per_bucket)))
    counts = {row[_BUCKET]: row["count"] for row in bucketed.groupBy(_BUCKET).count().collect()}
    buckets = sorted(counts)
    starts = accumulate((counts[bucket] for bucket in buckets), initial=first)
    offsets = F.create_map(*[F.lit(x) for pair in zip(buckets, starts, strict=False) for x in pair])
    place = F.row_number().over(Window.partitionBy(_BUCKET).orderBy(id_column)) - 1
    idx = (offsets[F.col(_BUCKET)] + place).cast("int") if buckets else F.lit(None).cast("int")
    return bucketed.select(id_column, idx.alias(idx_column))


def next_index(index: DataFrame, idx_column: str) -> int:
    """The first index not yet given."""
    highest = index.agg(F.max(idx_column)).head()
    return 0 if highest is None or highest[0] is None else int(highest[0]) + 1


def index_sizes(tables: Tables) -> tuple[int, int]:
    """How many users and how many items have an index."""
    return next_index(tables.read("users"), c.USER_IDX), next_index(tables.read("items"), c.ITEM_IDX)


def index_ids(tables: Tables) -> dict[str, str]:
    """What tells the indices of users and items from others, such as those made anew after the tables were deleted."""
    return {name: tables.identity(name) for name in ("users", "items")}


def _boundaries(ids: DataFrame, id_column: str, total: int, ids_per_bucket: int) -> list[str]:
    buckets = ceil(total / ids_per_bucket)
    if buckets <= 1:
        return []
    # a sample by hash, whose size follows from the number of buckets and not from the number of ids
    every = max(1, total // (buckets * _SAMPLE_PER_BUCKET))
    sampled = ids.where(F.pmod(F.xxhash64(id_column), F.lit(every)) == 0).sort(id_column).collect()
    step = max(1, len(sampled) // buckets)
    return [row[0] for row in sampled[step::step]]


def _bucket(value: Column, boundaries: list[str]) -> Column:
    if not boundaries:
        return F.lit(0)
    return F.size(F.filter(F.array(*[F.lit(b) for b in boundaries]), lambda boundary: boundary <= value))
