"""The table of what was checked before lists were published."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, RUN, STRING, TIME, Table, column

GATE_RESULTS: Final = Table(
    "gate_results",
    "publish",
    StructType(
        [
            RUN,
            AS_OF,
            column(c.VARIANT, STRING, "whose lists"),
            column(c.GATE, STRING, "what was checked; `rollback` for a day that was put back by hand"),
            column(c.VALUE, DOUBLE, "the figure; null where there was nothing to measure it by"),
            column(c.LOW, DOUBLE, "the least that passes; null: no such bound"),
            column(c.HIGH, DOUBLE, "the most that passes; null: no such bound"),
            column(c.VERDICT, STRING, "passed, failed, not_measured, or forced: failed and published all the same"),
            column(c.REASON, STRING, "what the figure says in words; for forced, why it was forced"),
            column(c.CHECKED_AT, TIME, "when"),
        ]
    ),
    key=(c.RUN_ID, c.VARIANT, c.GATE),
)
