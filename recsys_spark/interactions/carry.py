"""What an earlier night's slice still says: rows of users who have not acted since are carried over, not counted again.

What came in since, and whether a slice is still as it was written, is told by versions of tables: a clock may have jumped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import yaml
from pydantic import ValidationError
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.interactions.split import end_of, until
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS, INTERACTIONS
from recsys_spark.settings import Config, Split
from recsys_spark.tables import SliceKey
from recsys_spark.version import code_version

_NIGHTS = 60  # so many of the latest runs of a stage are looked at
_WRITTEN = "written"


@dataclass(frozen=True)
class EarlierRun:
    """A run of the same stage for an earlier date, under settings that mean the same: what it wrote can be carried over.

    `events` is the version of table `events` that it hangs on, `versions_read` those of the tables that it read.
    """

    as_of: date
    events: int
    versions_read: Mapping[str, int] = field(default_factory=dict, compare=False)


def earlier_run(run: Run, name: str, *sections: str, where: SliceKey | None = None) -> EarlierRun | None:
    """The run of the stage that wrote a table's slice of the latest date before the run's own, if these sections and the code
    are the same; None if there is none.

    A slice that another run has begun to write since does not count: with other settings, or killed, it left no row of its own.
    Nor does one that is not there any more: upkeep drops old ones.

    Args:
        name: the table that the stage writes first.
        where: of the slice, beside the date.
    """
    if not run.tables.exists("runs"):
        return None
    done = (F.col("stage") == run.stage) & (F.col("status") == "done") & (F.col(c.AS_OF_DATE) < F.lit(run.as_of))
    written = F.col("versions_written")[name]
    newest = run.tables.read("runs").where(done & written.isNotNull())
    newest = newest.orderBy(F.desc(c.AS_OF_DATE), F.desc(written)).limit(_NIGHTS)
    wanted = (c.AS_OF_DATE, "code_version", "config", "versions_read", written.alias(_WRITTEN))
    rows = collect_rows(newest.select(*wanted), "earlier runs", run.config.run.driver_bytes)
    for row in sorted(rows, key=lambda row: (row[c.AS_OF_DATE], row[_WRITTEN]), reverse=True):
        alike = row["code_version"] == code_version() and _digest(row["config"], sections) == run.config.digest(
            *sections
        )
        slice_of: SliceKey = {c.AS_OF_DATE: row[c.AS_OF_DATE], **(where or {})}
        if not alike or run.tables.rewritten(name, row[_WRITTEN], slice_of):
            continue
        if not run.tables.read(name, slice_of).isEmpty():
            events = _events_read(run, row)
            return None if events is None else EarlierRun(row[c.AS_OF_DATE], events, row["versions_read"] or {})
    return None


def _events_read(run: Run, row: Row) -> int | None:
    """The version of the events that a run's slice hangs on: the one it read, or else that of the pairs that it read."""
    pairs = row["versions_read"].get(INTERACTIONS.name)
    if pairs is None:
        version: int | None = row["versions_read"].get(EVENTS.name)
        return version
    written = F.col("versions_written")[INTERACTIONS.name]
    of_date = (F.col("stage") == "index") & (F.col(c.AS_OF_DATE) == F.lit(row[c.AS_OF_DATE])) & (written <= pairs)
    index = run.tables.read("runs").where(of_date).orderBy(F.desc(written)).head()
    return None if index is None else index["versions_read"].get(EVENTS.name)


def came_since(run: Run, earlier: EarlierRun) -> Column:
    """The condition that an event is of after the earlier date, or of before it and came in since."""
    old = run.tables.read("runs").where(
        F.col("stage").isin("ingest", "generate") & (F.col("versions_written")[EVENTS.name] <= earlier.events)
    )
    known = [
        row[c.RUN_ID] for row in collect_rows(old.select(c.RUN_ID), "earlier ingests", run.config.run.driver_bytes)
    ]
    return (F.col(c.EVENT_TIME) >= end_of(earlier.as_of)) | ~F.col(c.RUN_ID).isin(known)


def acted(run: Run, which: Column) -> DataFrame:
    """`user_idx` of those with such an event by the run's date.

    One pass over the events' times and runs, nothing shuffled but the ids found: O(events), mostly skipped by statistics.
    """
    ids = run.tables.read("events").where(until(run.as_of) & which).select(c.USER_ID).distinct()
    return ids.join(run.tables.read("users").select(c.USER_ID, c.USER_IDX), on=c.USER_ID, how="inner").select(
        c.USER_IDX
    )


def by_own_events(config: Config) -> bool:
    """Whether the parts of a user's events hang on these and the date alone.

    That does not hold of cores, cold users and items and given tests, which hang on everyone's events.
    """
    split: Split = config.split
    by_core = config.interactions.min_user_items > 1 or config.interactions.min_item_users > 1
    return split.kind != "given" and not split.has_cold and not by_core


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
