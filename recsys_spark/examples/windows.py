"""Windows of users' sequences: what a model of order trains on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.config import Fit
from recsys_spark.schemas import TRAIN_SEQUENCES
from recsys_spark.transform import Transformer, conform

_CUT = StructType([field for field in TRAIN_SEQUENCES.schema if field.name not in (c.AS_OF_DATE, c.FIT)])


def train_windows(as_of: date, fit: Fit, length: int, most: int, files: int) -> Transformer:
    """`schemas.SEQUENCES` -> `schemas.TRAIN_SEQUENCES`: the latest `most` windows of each user, `length` + 1 items each.

    A window overlaps the one after it in one item, so that every item but a user's first is predicted once. Users with a
    single item have no window. O(items kept), one shuffle, evenly into `files`.
    """

    def to_windows(sequences: DataFrame) -> DataFrame:
        cut = sequences.select(c.USER_IDX, c.ITEMS).mapInArrow(_cutter(length, most), _CUT).repartition(files)
        sliced = cut.withColumn(c.AS_OF_DATE, F.lit(as_of)).withColumn(c.FIT, F.lit(fit))
        return sliced.transform(conform(TRAIN_SEQUENCES.schema, TRAIN_SEQUENCES.name))

    return to_windows


def windows_of(items: npt.NDArray[np.int32], length: int, most: int) -> Iterator[npt.NDArray[np.int32]]:
    """One sequence's windows, the latest first, each of 2 to `length` + 1 items.

    >>> [window.tolist() for window in windows_of(np.array([1, 2, 3, 4, 5], np.int32), 2, 3)]
    [[3, 4, 5], [1, 2, 3]]
    """
    end = len(items)
    for _ in range(most):
        start = max(0, end - length - 1)
        if end - start < 2:
            return
        yield items[start:end]
        end = start + 1


def _cutter(length: int, most: int) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            users: list[int] = []
            packed: list[bytes] = []
            lengths: list[int] = []
            for user, items in zip(batch.column(c.USER_IDX), batch.column(c.ITEMS), strict=True):
                for window in windows_of(items.values.to_numpy(), length, most):
                    row = np.full(length + 1, -1, dtype="<i4")
                    row[length + 1 - len(window) :] = window
                    users.append(user.as_py())
                    packed.append(row.tobytes())
                    lengths.append(len(window))
            columns = [pa.array(users, pa.int32()), pa.array(packed, pa.binary()), pa.array(lengths, pa.int32())]
            yield pa.RecordBatch.from_arrays(columns, _CUT.names)

    return cut
