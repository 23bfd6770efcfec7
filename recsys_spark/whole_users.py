"""Numpy over whole users: rows shuffled and sorted by user, in Arrow tables that never split one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.transform import Transformer, shuffle_partitions


def map_whole_users(
    work: Callable[[pa.Table], Iterable[pa.RecordBatch]], schema: StructType, *order: str, columns: int | None = None
) -> Transformer:
    """Rows with `user_idx` -> `schema`, by `work` on tables of whole users, sorted by user and then by `order`.

    One shuffle by user and a sort within it: O(n log h) for users with h rows; memory is a batch and one user's rows.

    Args:
        columns: how many of the frame's columns `work` is given; the others only sort. None: all.
    """

    def work_on(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in by_whole_users(batches):
            yield from work(table)

    def to_rows(frame: DataFrame) -> DataFrame:
        by_user = frame.repartition(shuffle_partitions(frame), c.USER_IDX)
        in_order = by_user.sortWithinPartitions(c.USER_IDX, *order)
        return in_order.select(*frame.columns[:columns]).mapInArrow(work_on, schema)

    return to_rows


def by_whole_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in the same order; each table ends where a user ends.

    The input is sorted by `user_idx`. At most one batch and one user's rows are held at a time.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        users = batch.column(c.USER_IDX).to_numpy(zero_copy_only=False)
        last = int(np.searchsorted(users, users[-1]))  # where the batch's last user begins
        if held and held[-1].column(c.USER_IDX)[-1].as_py() != users[0]:
            yield pa.Table.from_batches(held)
            held = []
        if last > 0:
            yield pa.Table.from_batches([*held, batch.slice(0, last)])
            held = []
        held.append(batch.slice(last))
    if held:
        yield pa.Table.from_batches(held)
