"""How far the days that are tested on differ from those that are trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.bounded import collect_aggregate
from recsys_spark.explore.entries import Entry, entries
from recsys_spark.explore.passes import TEST, TRAIN

_OF = "of"
_ALL_TRAIN, _ALL_TEST = "all_train", "all_test"


def shifts(frames: Mapping[str, DataFrame], limit: int) -> list[Entry]:
    """Counts `(train, test)` a row an item, category, hour, ... -> how far the two distributions over them lie apart.

    `divergence` is Jensen and Shannon's in bits, from 0 (the same) to 1 (nothing in common), of Lin, 1991, "Divergence measures
    based on the Shannon entropy"; `unseen` the share of the test events whose item, category, ... has no train event.
    A frame without an event in either window has no entry.
    """
    counted = [frame.select(F.lit(of).alias(_OF), TRAIN, TEST) for of, frame in frames.items()]
    rows = reduce(DataFrame.unionByName, counted)
    totals = rows.groupBy(_OF).agg(F.sum(TRAIN).alias(_ALL_TRAIN), F.sum(TEST).alias(_ALL_TEST))
    both = totals.where((F.col(_ALL_TRAIN) > 0) & (F.col(_ALL_TEST) > 0))
    train, test = F.col(TRAIN) / F.col(_ALL_TRAIN), F.col(TEST) / F.col(_ALL_TEST)
    told = rows.join(F.broadcast(both), on=_OF, how="inner").groupBy(_OF)
    found = told.agg(
        ((F.sum(_toward_mean(train, test)) + F.sum(_toward_mean(test, train))) / 2).alias("divergence"),
        F.sum(F.when(F.col(TRAIN) == 0, test).otherwise(0.0)).alias("unseen"),
    )
    by_name = {row[_OF]: row for row in collect_aggregate(found, "shifts", limit)}
    shown = [name for name in frames if name in by_name]
    return entries(
        "windows", "shift", {name: {key: by_name[name][key] for key in ("divergence", "unseen")} for name in shown}
    )


def _toward_mean(one: Column, other: Column) -> Column:
    """A term of the divergence of one distribution from the mean of the two."""
    return F.when(one > 0, one * F.log2(2 * one / (one + other))).otherwise(0.0)
