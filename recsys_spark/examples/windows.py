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
from recsys_spark.examples.contexts import CONTEXTS, with_contexts
from recsys_spark.schemas import TRAIN_SEQUENCES
from recsys_spark.settings import Fit
from recsys_spark.transform import Transformer, conform

_CUT = StructType([field for field in TRAIN_SEQUENCES.schema if field.name not in (c.AS_OF_DATE, c.FIT)])


def train_windows(
    as_of: date,
    fit: Fit,
    length: int,
    most: int,
    files: int,
    contexts: DataFrame | None = None,
    baskets: bool = False,
) -> Transformer:
    """`schemas.SEQUENCES` -> `schemas.TRAIN_SEQUENCES`: the latest `most` windows of each user, `length` + 1 items each.

    A window overlaps the one after it in what that one cannot predict, an item or a basket, so that all but what a user
    began with is predicted once. Users with a single item have no window. O(items kept), one shuffle, evenly into
    `files`; another one, by user, for contexts.

    Args:
        contexts: `event_contexts` of the fit's parts, where features of the context are declared.
        baskets: whether events of one moment (to the second) are a basket, of which no item is to be learnt from another.
            What does not fit into a window together with an item before it is predicted nowhere.
    """

    def to_windows(sequences: DataFrame) -> DataFrame:
        known = sequences.transform(with_contexts(contexts, c.USER_IDX))
        read = known.select(c.USER_IDX, c.ITEMS, c.TIMES, CONTEXTS)
        cut = read.mapInArrow(_cutter(length, most, baskets), _CUT).repartition(files)
        sliced = cut.withColumn(c.AS_OF_DATE, F.lit(as_of)).withColumn(c.FIT, F.lit(fit))
        return sliced.transform(conform(TRAIN_SEQUENCES.schema, TRAIN_SEQUENCES.name))

    return to_windows


def windows_of(items: int, length: int, most: int, times: npt.NDArray[np.int64] | None = None) -> Iterator[slice]:
    """Where the windows of a sequence of so many items lie, the latest first, each of 2 to `length` + 1 items.

    A window ends with what the one after it begins with: an item, or, by the `times` of baskets, the rest of a basket.

    >>> list(windows_of(5, 2, 3))
    [slice(2, 5, None), slice(0, 3, None)]
    >>> list(windows_of(5, 2, 3, np.array([1, 2, 3, 3, 4])))
    [slice(2, 5, None), slice(1, 4, None), slice(0, 2, None)]
    """
    end = items
    for _ in range(most):
        start = max(0, end - length - 1)
        if end - start < 2:
            return
        yield slice(start, end)
        begun = start + 1 if times is None else int(np.searchsorted(times, times[start], side="right"))
        end = begun if begun < end else start + 1


def read_at(times: npt.NDArray[np.int64], window: slice) -> npt.NDArray[np.int32]:
    """For each item of a window but the first, the place in it of the latest one of an earlier moment, -1 for none.

    >>> read_at(np.array([5, 5, 7, 7, 9]), slice(1, 5))
    array([0, 0, 2], dtype=int32)
    """
    own = times[window]
    return (np.searchsorted(own, own[1:], side="left") - 1).astype(np.int32)


def _cutter(length: int, most: int, baskets: bool) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            users: list[int] = []
            packed: list[bytes] = []
            lengths: list[int] = []
            places: list[bytes | None] = []
            contexts: list[bytes | None] = []
            known = (batch.column(name) for name in (c.USER_IDX, c.ITEMS, c.TIMES, CONTEXTS))
            for user, sequence, moments, of_items in zip(*known, strict=True):
                items, times = sequence.values.to_numpy(), moments.values.to_numpy()
                of_user = of_items.as_py()
                for window in windows_of(len(items), length, most, times if baskets else None):
                    read = read_at(times, window) if baskets else None
                    if read is not None and (read < 0).all():
                        continue  # a single basket, and nothing to learn it from
                    row = np.full(length + 1, -1, dtype="<i4")
                    row[length + 1 - (window.stop - window.start) :] = items[window]
                    users.append(user.as_py())
                    packed.append(row.tobytes())
                    lengths.append(window.stop - window.start)
                    places.append(None if read is None else _moved(read, length))
                    contexts.append(None if of_user is None else _packed(of_user[-len(items) :][window][1:], length))
            columns = [
                pa.array(users, pa.int32()),
                pa.array(packed, pa.binary()),
                pa.array(lengths, pa.int32()),
                pa.array(places, pa.binary()),
                pa.array(contexts, pa.binary()),
            ]
            yield pa.RecordBatch.from_arrays(columns, _CUT.names)

    return cut


def _moved(places: npt.NDArray[np.int32], length: int) -> bytes:
    """Places of a window as those of its row, which has `length` + 1: at the end of `length` ones."""
    before = length - len(places)
    row = np.full(length, -1, dtype="<i4")
    row[before:] = np.where(places >= 0, places + before, -1)
    return row.tobytes()


def _packed(contexts: list[bytes], length: int) -> bytes:
    """The contexts one after the other, at the end of `length` places, each of as many bytes."""
    return bytes(len(contexts[0]) * (length - len(contexts))) + b"".join(contexts)
