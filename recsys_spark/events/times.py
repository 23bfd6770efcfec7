"""Times as sources write them -> UTC timestamps; what is no time becomes null."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DateType, NumericType, TimestampNTZType, TimestampType

from recsys_spark.errors import UserError
from recsys_spark.spark_errors import SparkFailure

_MICROSECONDS: Final = {"s": 1e6, "ms": 1e3, "us": 1.0}
# the years 1 to 9999, which Python and every reader of the tables can hold
_LOWEST, _HIGHEST = -62_135_596_800_000_000, 253_402_300_799_999_999


def from_epoch(number: Column, unit: str = "s") -> Column:
    """Time since 1970 as text or number, in s, ms, us or ns; exact to the microsecond, nanoseconds cut off."""
    if unit == "ns":  # more digits than a double has
        micros = F.floor(number.cast("decimal(20,0)") * F.lit(Decimal("0.001")))
    else:
        micros = F.round(number.cast("double") * F.lit(_MICROSECONDS[unit]))
    return F.when(micros.between(_LOWEST, _HIGHEST), F.timestamp_micros(micros.cast("long")))


def from_text(text: Column, time_format: str = "") -> Column:
    """A written time, by a pattern of Spark's or else ISO 8601: `2024-05-06`, `2024-05-06 07:08:09+02:00`."""
    return F.try_to_timestamp(text, F.lit(time_format)) if time_format else text.cast("timestamp")


def from_typed(column: Column, kind: DataType, unit: str, time_format: str) -> Column:
    """A column of any type -> timestamp: typed times as they are, numbers by unit, text as configured."""
    if isinstance(kind, TimestampType | TimestampNTZType | DateType):
        return column.cast("timestamp")
    if isinstance(kind, NumericType) or unit != "format":
        return from_epoch(column, "s" if unit == "format" else unit)
    return from_text(column, time_format)


def check_format(spark: SparkSession, time_format: str) -> None:
    """Try a pattern out.

    Raises:
        UserError: Spark does not know it.
    """
    try:
        spark.range(1).select(F.date_format(F.timestamp_seconds(F.lit(0)), time_format)).collect()
    except SparkFailure:
        raise UserError(
            f"ingest.mapping.time_format: {time_format!r} is no pattern that Spark knows; "
            "expected one such as yyyy-MM-dd HH:mm:ss"
        ) from None
