"""What tables are declared with: the class, and the types and columns that several share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyspark.sql.types import (
    DataType,
    DateType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from recsys_spark import columns as c

STRING, INT, LONG, DOUBLE = StringType(), IntegerType(), LongType(), DoubleType()
TIME, DATE, MAP = TimestampType(), DateType(), MapType(StringType(), StringType())


@dataclass(frozen=True)
class Table:
    """One Delta table: its columns, the job that makes it, its key, and the columns that name a slice of it.

    `read_as_files`: its files are read without Spark, by the ranks of a training. `fenced`: people read it, or
    it only grows, so that it is written under a lease alone.
    """

    name: str
    made_by: str
    schema: StructType
    key: tuple[str, ...]
    partitioned_by: tuple[str, ...] = ()
    read_as_files: bool = False
    fenced: bool = False

    @property
    def properties(self) -> Mapping[str, str]:
        """Of the Delta table: where files are read as they lie, they hold its rows, all of them and no other."""
        return (
            {"delta.enableDeletionVectors": "false", "delta.columnMapping.mode": "none"} if self.read_as_files else {}
        )


def column(name: str, kind: DataType, comment: str) -> StructField:
    """A column that may be null, with its comment."""
    return StructField(name, kind, True, {"comment": comment})


AS_OF: Final = column(c.AS_OF_DATE, DATE, "the last day (UTC) whose events count")
FIT: Final = column(c.FIT, STRING, "evaluate: the train part alone; refit: train and validation; production: all")
USER_IDX: Final = column(c.USER_IDX, INT, "dense index of the user, see users")
ITEM_IDX: Final = column(c.ITEM_IDX, INT, "dense index of the item, see items")
RUN: Final = column(c.RUN_ID, STRING, "the run that wrote the row, see runs")
