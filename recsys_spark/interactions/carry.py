"""What an earlier night's slice still says: rows of users who have not acted since are carried over, not counted again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import yaml
from pydantic import ValidationError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.interactions.split import end_of, until
from recsys_spark.runs import Run
from recsys_spark.settings import Config, Split
from recsys_spark.tables import SliceKey
from recsys_spark.version import code_version

_BY_ORDER = ("leave_last_one", "leave_last_two")
_NIGHTS = 60  # so many of the latest runs of a stage are looked at


@dataclass(frozen=True)
class EarlierRun:
    """A run of the same stage for an earlier date, under settings that mean the same: what it wrote can be carried over."""

    as_of: date
    started_at: datetime


def earlier_run(run: Run, *sections: str) -> EarlierRun | None:
    """The latest run of the run's stage for a date before its own, if these sections and the code are the same; else None."""
    if not run.tables.exists("runs"):
        return None
    done = (F.col("stage") == run.stage) & (F.col("status") == "done") & (F.col(c.AS_OF_DATE) < F.lit(run.as_of))
    newest = run.tables.read("runs").where(done).orderBy(F.desc(c.AS_OF_DATE), F.desc("started_at")).limit(_NIGHTS)
    wanted = (c.AS_OF_DATE, "started_at", "code_version", "config")
    rows = collect_rows(newest.select(*wanted), "earlier runs", run.config.run.driver_bytes)
    for row in sorted(rows, key=lambda row: (row[c.AS_OF_DATE], row["started_at"]), reverse=True):
        if row["code_version"] == code_version() and _digest(row["config"], sections) == run.config.digest(*sections):
            return EarlierRun(row[c.AS_OF_DATE], row["started_at"])
    return None


def acted(run: Run, earlier: EarlierRun, days_before: int = 0) -> DataFrame:
    """`user_idx` of those with an event after the earlier date, or with one of before it that came in since.

    One pass over the events' times and runs, nothing shuffled but the ids found: O(events), mostly skipped by statistics.

    Args:
        days_before: count so many days before the earlier date as after it.
    """
    old = run.tables.read("runs").where(
        F.col("stage").isin("ingest", "generate")
        & (F.col("status") == "done")
        & (F.col("started_at") < F.lit(earlier.started_at))
    )
    known = [
        row[c.RUN_ID] for row in collect_rows(old.select(c.RUN_ID), "earlier ingests", run.config.run.driver_bytes)
    ]
    is_new = (F.col(c.EVENT_TIME) >= end_of(earlier.as_of - timedelta(days=days_before))) | ~F.col(c.RUN_ID).isin(known)
    ids = run.tables.read("events").where(until(run.as_of) & is_new).select(c.USER_ID).distinct()
    return ids.join(run.tables.read("users").select(c.USER_ID, c.USER_IDX), on=c.USER_ID, how="inner").select(
        c.USER_IDX
    )


def moved_days(config: Config) -> int | None:
    """How far before the earlier date a split moves events from one part to another as time goes by; None: everywhere.

    Users whose events all lie before have the same parts as then. That does not hold of cores, cold users and items and
    given tests, which hang on everyone's events.
    """
    split: Split = config.split
    if split.has_cold or config.interactions.min_user_items > 1 or config.interactions.min_item_users > 1:
        return None
    if split.kind == "time":
        return split.validation_days + split.test_days
    return 0 if split.kind in (*_BY_ORDER, "random") else None


def carried(run: Run, name: str, earlier: EarlierRun, changed: DataFrame, where: SliceKey | None = None) -> DataFrame:
    """The earlier slice of a table without the rows of the users who changed, as rows of the run's date. O(slice)."""
    slice_of: SliceKey = {c.AS_OF_DATE: earlier.as_of, **(where or {})}
    kept = run.tables.read(name, slice_of).join(changed, on=c.USER_IDX, how="left_anti")
    return kept.withColumn(c.AS_OF_DATE, F.lit(run.as_of))


def _digest(config: str, sections: tuple[str, ...]) -> str | None:
    """The digest of a configuration as `runs` keeps it; None for one of another version of the code."""
    content: dict[str, Any] = yaml.safe_load(config)
    try:
        return Config.model_validate(content).digest(*sections)
    except ValidationError:
        return None
