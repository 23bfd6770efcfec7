"""From a frame of counts to a few rows on the driver: the largest groups and the rest, counts of counts, weeks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_aggregate
from recsys_spark.explore.entries import OTHERS, Entry, Statistics, entries

GROUPS = "groups"  # how many of them stand in a row
_N = "n"


@dataclass(frozen=True)
class Frequencies:
    """How often each count occurs, counts rising: at most about sqrt(2 x events) of them, however many are counted."""

    counts: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]


@contextmanager
def kept(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, computed once for all that is asked of it; one that is kept already stays so afterwards."""
    if frame.is_cached:
        yield frame
        return
    persisted = frame.persist()
    try:
        yield persisted
    finally:
        persisted.unpersist()


def largest(frame: DataFrame, measures: Sequence[str], top: int, limit: int) -> dict[str, Statistics]:
    """Rows `(label, *measures)` -> the `top` by the first measure, ties by label, and all others as one with their number."""
    with kept(frame) as counted:
        in_order = counted.orderBy(F.desc(measures[0]), c.LABEL).limit(top)
        head = collect_aggregate(in_order, "the largest groups", limit)
        sums = counted.agg(F.count("*").alias(GROUPS), *[F.sum(name).alias(name) for name in measures]).head()
    shown: dict[str, Statistics] = {row[c.LABEL]: {name: float(row[name]) for name in measures} for row in head}
    if sums is not None and sums[GROUPS] > len(shown):
        rest = {name: float(sums[name]) - sum(row[name] for row in shown.values()) for name in measures}
        shown[OTHERS] = {**rest, GROUPS: float(sums[GROUPS] - len(shown))}
    return shown


def frequencies(counted: DataFrame, limit: int) -> Frequencies:
    """Rows with `events` -> how many have each number of events."""
    rows = collect_aggregate(
        counted.groupBy(c.EVENTS).agg(F.count("*").alias(_N)).orderBy(c.EVENTS), "counts of counts", limit
    )
    return Frequencies(np.array([row[c.EVENTS] for row in rows]), np.array([row[_N] for row in rows]))


def new_by_week(counted: DataFrame, series: str, limit: int) -> list[Entry]:
    """Rows with `first_time` -> how many were first seen in each week, by its Monday."""
    week = F.date_format(F.date_trunc("week", c.FIRST_TIME), "yyyy-MM-dd").alias(c.LABEL)
    rows = collect_aggregate(counted.groupBy(week).agg(F.count("*").alias(_N)).orderBy(c.LABEL), "weeks", limit)
    return entries("new_by_week", series, {row[c.LABEL]: {"new": row[_N]} for row in rows})


def missing(described: DataFrame, columns: Sequence[str], series: str, top: int, limit: int) -> list[Entry]:
    """Users or items with events, beside what is known of them -> how many lack each column, and each key of `attributes`."""
    row = described.agg(F.count("*").alias(_N), *[F.count(name).alias(name) for name in columns]).head()
    assert row is not None
    known = {name: float(row[name]) for name in columns}
    keys = described.select(F.explode(c.ATTRIBUTES).alias(c.LABEL, c.VALUE)).where(F.col(c.VALUE).isNotNull())
    by_key = largest(keys.groupBy(c.LABEL).agg(F.count("*").alias(_N)), [_N], top, limit)
    known |= {label: figures[_N] for label, figures in by_key.items() if label != OTHERS}
    return entries("missing", series, {name: {"missing": row[_N] - n, "of": row[_N]} for name, n in known.items()})
