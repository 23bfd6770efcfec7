"""Where a model fails: how many held-out items it finds, by who takes them, and by which items they are.

A row a held-out item stays in Spark; groups of them come to the driver, so many as are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, IntegerType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark.bounded import collect_aggregate
from recsys_spark.evaluate.blocks import ArrowPass, Batches, Lists, column_of, rows_within
from recsys_spark.evaluate.full import catalogue_scores
from recsys_spark.evaluate.subjects import Plan, each_subject
from recsys_spark.explore.described import attribute, categories
from recsys_spark.explore.entries import OTHERS, UNKNOWN, Entry, Statistics, entries
from recsys_spark.explore.groups import GROUPS
from recsys_spark.ranking import Floats, Placed, place_targets

SEGMENTS: Final = "segments"
FOUND: Final = "found"
ABOVE: Final = "above"
RANKED: Final = "ranked"
OVERALL: Final = "overall"
_PLACE: Final = "place"
_CLASSES: Final = (0, 1, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000)
TARGET_ROWS: Final = StructType(
    [
        StructField(c.USER_IDX, IntegerType()),
        StructField(c.ITEM_IDX, IntegerType()),
        StructField(FOUND, DoubleType()),
        StructField(ABOVE, DoubleType()),
    ]
)


def target_pass(plan: Plan, k: int) -> ArrowPass:
    """Eval users with their history -> `TARGET_ROWS`: of each held-out item whether it is among the first k of the whole
    catalogue, and the share of the catalogue that stands above it, null where it is never ranked. O(users x items)."""

    def measured(batches: Batches) -> Iterator[pa.RecordBatch]:
        most = rows_within(plan.block_bytes, plan.block_users, 4 * plan.catalogue.value.n_items)
        for block in each_subject(batches, plan, most):
            scores = catalogue_scores(block, plan.exclude_seen)
            targets = Lists.of(block.rows, c.TARGETS)
            placed = place_targets(scores, targets.rows, targets.values)
            found, above = standing(placed, k)
            yield pa.RecordBatch.from_pydict(
                {
                    c.USER_IDX: pa.array(column_of(block.rows, c.USER_IDX)[targets.rows], pa.int32()),
                    c.ITEM_IDX: pa.array(targets.values, pa.int32()),
                    FOUND: pa.array(found, pa.float64()),
                    ABOVE: pa.array(above, pa.float64(), from_pandas=True),
                }
            )

    return measured


def segments(
    targets: DataFrame, users: DataFrame, items: DataFrame, by: Sequence[str], top: int, limit: int
) -> list[Entry]:
    """`TARGET_ROWS` -> the share found, and what stands above, in each group of users and of items.

    Args:
        targets: kept, as it is gone over once for each way to group.
        users: by `user_idx`, `items` they took in train, and attributes.
        items: by `item_idx`, `users` who took them in train, and attributes.
        by: attributes of users, columns or keys of `attributes`.
    """
    of_users = targets.join(users, on=c.USER_IDX, how="left")
    of_items = targets.join(items, on=c.ITEM_IDX, how="left")
    grouped = {
        OVERALL: targets.withColumn(c.LABEL, F.lit("all")),
        "history": of_users.withColumn(c.LABEL, _class(F.col(c.ITEMS))),
        "popularity": of_items.withColumn(c.LABEL, _class(F.col(c.USERS))),
        "category": of_items.withColumn(c.LABEL, categories()),
        **{f"user {name}": of_users.withColumn(c.LABEL, attribute(name)) for name in by},
    }
    found = _figures(grouped, top, limit)
    known = {series: rows for series, rows in found.items() if series == OVERALL or rows.keys() - {UNKNOWN}}
    return [entry for series, rows in known.items() for entry in entries(SEGMENTS, series, _in_order(series, rows))]


def class_labels() -> list[str]:
    """The classes of counts, in order."""
    inner = [str(low) if high == low + 1 else f"{low:,} to {high - 1:,}" for low, high in pairwise(_CLASSES)]
    return [*inner, f"{_CLASSES[-1]:,} and more"]


def standing(placed: Placed, k: int) -> tuple[Floats, Floats]:
    """The probability to be among the first k, all orders of equal scores being as likely, and the mean share above."""
    ranked = placed.equal > 0
    equal = np.maximum(placed.equal, 1)
    found = np.where(ranked, np.clip((k - placed.above) / equal, 0.0, 1.0), 0.0)
    candidates = np.maximum(placed.candidates[placed.user] - 1, 1)
    above = np.where(ranked, (placed.above + (equal - 1) / 2) / candidates, np.nan)
    return found, above


def _figures(grouped: Mapping[str, DataFrame], top: int, limit: int) -> dict[str, dict[str, Statistics]]:
    """Rows with `label` by series -> held-out items, the share found and what stands above, by series and label: the largest
    groups, then all others as one. One job for all series; a row a group of each is sorted."""
    labelled = [rows.select(F.lit(series).alias(c.SERIES), c.LABEL, FOUND, ABOVE) for series, rows in grouped.items()]
    groups = reduce(DataFrame.unionByName, labelled).groupBy(c.SERIES, c.LABEL)
    sums = groups.agg(
        F.count("*").alias(c.N), F.sum(FOUND).alias(FOUND), F.sum(ABOVE).alias(ABOVE), F.count(ABOVE).alias(RANKED)
    )
    place = F.row_number().over(Window.partitionBy(c.SERIES).orderBy(F.desc(c.N), c.LABEL))
    label = F.when(F.col(_PLACE) <= top, F.col(c.LABEL)).otherwise(F.lit(OTHERS))
    shown = sums.withColumn(_PLACE, place).withColumn(c.LABEL, label).groupBy(c.SERIES, c.LABEL)
    measures = (c.N, FOUND, ABOVE, RANKED)
    folded = shown.agg(
        *[F.sum(name).alias(name) for name in measures], F.count("*").alias(GROUPS), F.min(_PLACE).alias(_PLACE)
    )
    found: dict[str, dict[str, Statistics]] = {series: {} for series in grouped}
    for row in collect_aggregate(folded.orderBy(c.SERIES, _PLACE), "the segments that are shown", limit):
        many = {GROUPS: float(row[GROUPS])} if row[c.LABEL] == OTHERS else {}
        found[row[c.SERIES]][row[c.LABEL]] = _means({name: float(row[name] or 0) for name in measures}) | many
    return found


def _means(row: Statistics) -> Statistics:
    means = {FOUND: row[FOUND] / row[c.N]} | ({ABOVE: row[ABOVE] / row[RANKED]} if row[RANKED] else {})
    return {**row, **means}


def _class(count: Column) -> Column:
    """The class of a count; nobody counted is none."""
    label = F.lit(class_labels()[0])
    for low, name in zip(_CLASSES[1:], class_labels()[1:], strict=True):
        label = F.when(F.coalesce(count, F.lit(0)) >= low, F.lit(name)).otherwise(label)
    return label


def _in_order(series: str, rows: dict[str, Statistics]) -> dict[str, Statistics]:
    """Classes of counts rise; other groups stand as they came, the largest first."""
    if series not in ("history", "popularity"):
        return rows
    order = class_labels()
    return dict(sorted(rows.items(), key=lambda row: order.index(row[0]) if row[0] in order else len(order)))
