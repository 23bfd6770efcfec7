"""The one door through which rows come to the driver: item-sized at most, and bounded in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql.types import NumericType

from recsys_spark.errors import UserError


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
    rows = frame.count()
    needed = 8 * rows * len(columns)
    if needed > limit:
        raise UserError(
            f"{what}: {rows:,} rows would take {needed:,} bytes on the driver, the limit is {limit:,}; "
            "raise run.driver_bytes if the driver has the memory"
        )
    collected = frame.select(*columns).toPandas()
    return {name: np.asarray(collected[name]) for name in columns}
