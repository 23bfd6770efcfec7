"""The one door through which rows come to the driver: item-sized at most, and bounded in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame, Row
from pyspark.sql.types import NumericType

from recsys_spark.errors import UserError

_BYTES_OF_TEXT_ROW = 200  # what a short row of text and numbers takes as Python objects


def collect_rows(frame: DataFrame, what: str, limit: int) -> list[Row]:
    """The rows of a small frame, in its order, counted first.

    Raises:
        UserError: more than `limit` bytes would come; the message says which setting allows it.
    """
    check(frame.count(), _BYTES_OF_TEXT_ROW, what, limit)
    return frame.collect()


def collect_aggregate(frame: DataFrame, what: str, limit: int) -> list[Row]:
    """The rows of an aggregate that is small, in its order, computed once: it is not counted, but cut at the first row too many.

    Raises:
        UserError: more than `limit` bytes would come; the message says which setting allows it.
    """
    most = limit // _BYTES_OF_TEXT_ROW
    rows = frame.limit(most + 1).collect()
    check(len(rows), _BYTES_OF_TEXT_ROW, what, limit)
    return rows


def collect_columns(frame: DataFrame, columns: Sequence[str], what: str, limit: int) -> dict[str, npt.NDArray[Any]]:
    """Numeric columns of an item-sized frame as numpy arrays on the driver, in the frame's order.

    Args:
        frame: cached or cheap to compute, since it is counted first.
        what: what the rows are, for the message ("popularity of the items").
        limit: the most bytes that may come, eight a value.

    Raises:
        UserError: more would come; the message says how much, and which setting allows it.
    """
    for name in columns:
        if not isinstance(frame.schema[name].dataType, NumericType):
            raise TypeError(f"{what}: column {name} is {frame.schema[name].dataType.simpleString()}, expected a number")
    check(frame.count(), 8 * len(columns), what, limit)
    collected = frame.select(*columns).toPandas()
    return {name: np.asarray(collected[name]) for name in columns}


def check(rows: int, bytes_a_row: int, what: str, limit: int) -> None:
    """Whether so many rows may come, from wherever.

    Raises:
        UserError: they would take more than `limit` bytes; the message says which setting allows it.
    """
    needed = rows * bytes_a_row
    if needed > limit:
        raise UserError(
            f"{what}: {rows:,} rows would take {needed:,} bytes on the driver, the limit is {limit:,}; "
            "raise run.driver_bytes if the driver has the memory"
        )
