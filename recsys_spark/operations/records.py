"""Rows of `runs`, `models` and the lists as plain data, through the bounded door."""

from __future__ import annotations

from datetime import UTC, datetime

from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.operations.lineage import PastRun
from recsys_spark.operations.retention import KnownModel, Listed
from recsys_spark.runs import Run
from recsys_spark.schemas import MODELS, RECOMMENDATIONS, RECOMMENDATIONS_CURRENT, RUNS, Table

_AT = "at"


def past_runs(run: Run) -> list[PastRun]:
    """All that read or wrote a table, as `runs` holds them; configurations and counts stay where they are."""
    names = (
        c.RUN_ID,
        "stage",
        c.AS_OF_DATE,
        "status",
        "config_hash",
        "code_version",
        "versions_read",
        "versions_written",
    )
    chosen = run.tables.read_or_empty(RUNS).select(*names, F.unix_millis("started_at").alias(_AT))
    chosen = chosen.where((F.size("versions_read") > 0) | (F.size("versions_written") > 0))
    return [
        PastRun(
            run_id=row[c.RUN_ID],
            stage=row["stage"],
            as_of=row[c.AS_OF_DATE],
            status=row["status"],
            started_at=_moment(row[_AT]),
            config_hash=row["config_hash"],
            code_version=row["code_version"],
            read=row["versions_read"] or {},
            written=row["versions_written"] or {},
        )
        for row in collect_rows(chosen, "the rows of `runs`", run.config.run.driver_bytes)
    ]


def known_models(run: Run) -> list[KnownModel]:
    """All that `models` holds."""
    names = (c.MODEL_VERSION, c.MODEL_NAME, c.AS_OF_DATE, c.FIT, "path", "evaluated_by", c.RUN_ID)
    rows = run.tables.read_or_empty(MODELS).select(*names, F.unix_millis("created_at").alias(_AT))
    return [
        KnownModel(
            version=row[c.MODEL_VERSION],
            name=row[c.MODEL_NAME],
            fit=row[c.FIT],
            path=row["path"],
            evaluated_by=row["evaluated_by"],
            created_at=_moment(row[_AT]),
            run_id=row[c.RUN_ID],
            as_of=row[c.AS_OF_DATE],
        )
        for row in collect_rows(rows, "the rows of `models`", run.config.run.driver_bytes)
    ]


def listed(run: Run, table: Table = RECOMMENDATIONS) -> set[Listed]:
    """The runs and models behind the lists of every date, or with RECOMMENDATIONS_CURRENT behind the published ones.

    One pass over two columns.
    """
    behind = run.tables.read_or_empty(table).select(c.RUN_ID, c.MODEL_VERSION).distinct()
    rows = collect_rows(behind, f"the runs behind `{table.name}`", run.config.run.driver_bytes)
    return {Listed(row[c.RUN_ID], row[c.MODEL_VERSION]) for row in rows}


def live(run: Run) -> set[Listed]:
    """The runs and models behind the published lists."""
    return listed(run, RECOMMENDATIONS_CURRENT)


def _moment(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
