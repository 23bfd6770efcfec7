"""The table of runs, which every job adds to."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import MapType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, LONG, RUN, STRING, TIME, Table, column

RUNS: Final = Table(
    "runs",
    "every job",
    StructType(
        [
            RUN,
            column("pipeline_id", STRING, "shared by the stages of one pipeline run"),
            column("stage", STRING, "ingest, index, ..."),
            AS_OF,
            column("status", STRING, "done, failed, or gated: a gate stopped the lists, or monitoring found a breach"),
            column("started_at", TIME, "when it began"),
            column("seconds", DOUBLE, "how long it took"),
            column("config_hash", STRING, "hash of the effective configuration"),
            column("config", STRING, "that configuration, as YAML"),
            column(
                "code_version",
                STRING,
                "version of the package, and the commit where it ran from a checkout",
            ),
            column("versions_read", MapType(STRING, LONG), "table -> Delta version read"),
            column("versions_written", MapType(STRING, LONG), "table -> Delta version written"),
            column("counts", MapType(STRING, LONG), "rows by what they are"),
            column("error", STRING, "what went wrong, for a failed run"),
        ]
    ),
    key=(c.RUN_ID, "stage"),
)
