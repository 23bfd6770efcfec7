"""Blocks of users inside a worker: Arrow in, numpy lists of different lengths out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys_spark.ragged import Int32s, padded
from recsys_spark.ranking import Ints

Batches = Iterable[pa.RecordBatch]
ArrowPass = Callable[[Batches], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Lists:
    """Lists of different lengths, flat: `values[i]` is in the list of row `rows[i]`."""

    rows: Ints
    values: Int32s
    n: int

    @classmethod
    def of(cls, batch: pa.RecordBatch, name: str) -> Lists:
        """A list column of a batch, which may be a slice of a larger one."""
        column = batch.column(name)
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        rows = np.repeat(np.arange(len(column)), lengths)
        return cls(rows, column.flatten().to_numpy(zero_copy_only=False), len(column))

    def padded(self) -> Int32s:
        """One row a list, (n, longest), filled up with `NO_ITEM`."""
        return padded(np.bincount(self.rows, minlength=self.n), self.values)

    def below(self, bound: int) -> Lists:
        """Without the values that are not below `bound`."""
        kept = self.values < bound
        return Lists(self.rows[kept], self.values[kept], self.n)

    def mean_of(self, figures: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The mean of each list's values' figures; NaN for an empty list."""
        summed = np.bincount(self.rows, weights=figures[self.values], minlength=self.n)
        lengths = np.bincount(self.rows, minlength=self.n)
        return np.divide(summed, lengths, out=np.full(self.n, np.nan), where=lengths > 0)


def blocks(batches: Batches, rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows, at most so many at a time."""
    for batch in batches:
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def rows_within(limit: int, rows: int, row_bytes: int) -> int:
    """How many rows, at most `rows`, stay within so many bytes; at least one."""
    return max(1, min(rows, limit // max(1, row_bytes)))


def column_of(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    """A column without nulls as a numpy array."""
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False))
