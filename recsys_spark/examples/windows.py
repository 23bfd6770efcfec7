"""Windows of users' sequences: what a model of order trains on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.examples.contexts import CONTEXTS, with_contexts
from recsys_spark.schemas import TRAIN_SEQUENCES
from recsys_spark.settings import Fit
from recsys_spark.transform import Transformer, conform

_CUT = StructType([field for field in TRAIN_SEQUENCES.schema if field.name not in (c.AS_OF_DATE, c.FIT)])


def train_windows(
    as_of: date, fit: Fit, length: int, most: int, files: int, contexts: DataFrame | None = None
) -> Transformer:
    """`schemas.SEQUENCES` -> `schemas.TRAIN_SEQUENCES`: the latest `most` windows of each user, `length` + 1 items each.

    A window overlaps the one after it in one item, so that every item but a user's first is predicted once. Users with a
    single item have no window. O(items kept), one shuffle, evenly into `files`; another one, by user, for contexts.

    Args:
        contexts: `event_contexts` of the fit's parts, where features of the context are declared.
    """

    def to_windows(sequences: DataFrame) -> DataFrame:
        known = sequences.transform(with_contexts(contexts, c.USER_IDX))
        cut = known.select(c.USER_IDX, c.ITEMS, CONTEXTS).mapInArrow(_cutter(length, most), _CUT).repartition(files)
        sliced = cut.withColumn(c.AS_OF_DATE, F.lit(as_of)).withColumn(c.FIT, F.lit(fit))
        return sliced.transform(conform(TRAIN_SEQUENCES.schema, TRAIN_SEQUENCES.name))

    return to_windows


def windows_of(items: int, length: int, most: int) -> Iterator[slice]:
    """Where the windows of a sequence of so many items lie, the latest first, each of 2 to `length` + 1 items.

    >>> list(windows_of(5, 2, 3))
    [slice(2, 5, None), slice(0, 3, None)]
    """
    end = items
    for _ in range(most):
        start = max(0, end - length - 1)
        if end - start < 2:
            return
        yield slice(start, end)
        end = start + 1


def _cutter(length: int, most: int) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            users: list[int] = []
            packed: list[bytes] = []
            lengths: list[int] = []
            contexts: list[bytes | None] = []
            known = (batch.column(name) for name in (c.USER_IDX, c.ITEMS, CONTEXTS))
            for user, sequence, of_items in zip(*known, strict=True):
                items = sequence.values.to_numpy()
                of_user = of_items.as_py()
                for window in windows_of(len(items), length, most):
                    row = np.full(length + 1, -1, dtype="<i4")
                    row[length + 1 - (window.stop - window.start) :] = items[window]
                    users.append(user.as_py())
                    packed.append(row.tobytes())
                    lengths.append(window.stop - window.start)
                    contexts.append(None if of_user is None else _packed(of_user[-len(items) :][window][1:], length))
            columns = [
                pa.array(users, pa.int32()),
                pa.array(packed, pa.binary()),
                pa.array(lengths, pa.int32()),
                pa.array(contexts, pa.binary()),
            ]
            yield pa.RecordBatch.from_arrays(columns, _CUT.names)

    return cut


def _packed(contexts: list[bytes], length: int) -> bytes:
    """The contexts one after the other, at the end of `length` places, each of as many bytes."""
    return bytes(len(contexts[0]) * (length - len(contexts))) + b"".join(contexts)
