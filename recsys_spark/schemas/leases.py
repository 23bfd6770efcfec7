"""The table of who may write below a root."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import BooleanType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import LONG, STRING, TIME, Table, column

LEASES: Final = Table(
    "leases",
    "every job",
    StructType(
        [
            column(
                c.GENERATION,
                LONG,
                "counts the leases of this root; a commit of an older one than the newest is refused",
            ),
            column(c.HOLDER, STRING, "host/process/when that started"),
            column("pipeline_id", STRING, "see runs"),
            column(c.RENEWED_AT, TIME, "the holder's last sign of life"),
            column(c.RELEASED, BooleanType(), "whether the holder was done by then"),
        ]
    ),
    key=(c.GENERATION, c.RENEWED_AT),
)
