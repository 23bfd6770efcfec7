"""Partial sums of what lists are like, a step of re-ranking at a time: what a task gives back, however many its users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql.types import DoubleType, IntegerType, LongType, StringType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark.ranking import Floats
from recsys_spark.recommend.constrained import exposure_weights

EXPOSURE: Final = "exposure"

# a figure of users summed up, with how many they are; or, with an item, the exposure that it was given
SUMS: Final = StructType(
    [
        StructField(c.POSITION, IntegerType()),
        StructField(c.METRIC, StringType()),
        StructField(c.ITEM_IDX, IntegerType()),
        StructField(c.VALUE, DoubleType()),
        StructField(c.N, LongType()),
    ]
)
_KINDS: Final = (pa.int32(), pa.string(), pa.int32(), pa.float64(), pa.int64())


class Sums:
    """Figures of users by step, and the exposure of items by step, for lists of n. A number an item and step."""

    def __init__(self, steps: int, n_items: int, n: int) -> None:
        self._exposure = np.zeros((steps, n_items))
        self._weights = exposure_weights(n)
        self._figures: dict[tuple[int, str], tuple[float, int]] = {}

    def add(self, step: int, metric: str, values: Floats) -> None:
        """One figure a user; NaN does not count."""
        there = ~np.isnan(values)
        value, n = self._figures.get((step, metric), (0.0, 0))
        self._figures[step, metric] = (value + float(values[there].sum()), n + int(there.sum()))

    def show(self, step: int, listed: npt.NDArray[Any]) -> None:
        """Lists (U, n) of items, -1 for none."""
        rows, places = np.nonzero(listed >= 0)
        np.add.at(self._exposure[step], listed[rows, places], self._weights[places])

    def to_arrow(self) -> Iterator[pa.RecordBatch]:
        """Batches in the schema of `SUMS`."""
        of_users = [(step, metric, None, value, n) for (step, metric), (value, n) in self._figures.items()]
        if of_users:
            yield _batch(*zip(*of_users, strict=True))
        steps, items = np.nonzero(self._exposure)
        yield _batch(steps, [EXPOSURE] * len(steps), items, self._exposure[steps, items], np.zeros(len(steps), int))


def _batch(*columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array(of, kind) for of, kind in zip(columns, _KINDS, strict=True)], SUMS.names
    )
