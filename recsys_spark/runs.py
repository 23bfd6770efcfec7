"""What a run is given, what it reports, and the row it leaves in `runs`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import log
from recsys_spark.errors import GatedError, UserError
from recsys_spark.roots import artifacts_of
from recsys_spark.schemas import RUNS
from recsys_spark.settings import Config
from recsys_spark.tables import Tables
from recsys_spark.version import code_version

_LEAVES_NO_ROW: Final = {"lineage"}  # it only reads, and may be run where it cannot write

How = Literal["full", "warm", "keep"]  # what a night does with the model


@dataclass
class Run:
    """One stage's run: its session, configuration and tables, and what it has to say when it is done.

    `counts` go to `runs` and the summary; `notes` are the lines a person reads at the end; `options` are the arguments that
    its job alone takes; `turn` is that of the lease that the run writes under, `training` what the night does with the model.
    """

    stage: str
    spark: SparkSession
    config: Config
    root: str
    pipeline_id: str
    requested_as_of: date | None = None
    turn: Callable[[], int] | None = None
    training: How = "full"
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    options: Mapping[str, Any] = field(default_factory=dict)
    status: str = "started"
    seconds: float = 0.0
    error: str | None = None

    def __post_init__(self) -> None:
        self.tables = Tables(self.spark, self.root, self.run_id, self.config.storage.examples, self.turn)
        self.root = self.tables.root

    @property
    def as_of(self) -> date:
        """The date asked for, or else the day (UTC) of the newest event: the same for every stage of a pipeline.

        Days after today, or after `ingest.latest` where it is set, do not count: they came in when the clock was ahead.

        Raises:
            UserError: there are no events up to then.
        """
        if self.requested_as_of is None:
            last = self.config.ingest.latest or datetime.now(UTC).date()
            day = F.to_date(c.EVENT_TIME)
            newest = self.tables.read("events").where(day <= F.lit(last)).agg(F.max(day)).head()
            if newest is None or newest[0] is None:
                raise UserError(
                    f"table `events` under {self.root} has no event up to {last}, the last day that may have any: check "
                    "events_rejected, ingest.latest and this machine's clock, run jobs/ingest.py"
                )
            self.requested_as_of = newest[0]
        assert self.requested_as_of is not None
        return self.requested_as_of

    @property
    def seed(self) -> int:
        return self.config.run.seed

    @property
    def artifacts(self) -> str:
        """Where artifacts and checkpoints lie: what is configured, or below the root.

        Raises:
            UserError: nothing is configured, and the root is a catalogue.
        """
        return artifacts_of(self.config.storage.artifacts, self.root)

    @property
    def reports(self) -> str:
        """Where what is for people to read goes: below the root, or below the artifacts where that is a catalogue."""
        return self.artifacts if self.tables.in_catalog else self.root

    def say(self, line: str, **fields: Any) -> None:
        """A line of progress, at once; `fields` are for machines, see `log.say`."""
        log.say(self.stage, line, **self._names(), **fields)

    def report(self) -> dict[str, Any]:
        """What became of it, as plain data: for logs and alerts."""
        return {
            **self._names(),
            "stage": self.stage,
            "status": self.status,
            "seconds": round(self.seconds, 1),
            "counts": dict(self.counts),
            "versions_read": dict(self.tables.versions_read),
            "versions_written": dict(self.tables.versions_written),
            "notes": list(self.notes),
            "error": self.error,
        }

    def _names(self) -> dict[str, Any]:
        return {"pipeline_id": self.pipeline_id, "run_id": self.run_id, "as_of": self.requested_as_of}


Stage = Callable[[Run], None]
GATED: Final = "gated"  # the status of a run whose lists a gate stopped


def run_stage(run: Run, stage: Stage) -> None:
    """Run one stage, print its summary, and leave its row in `runs`, also when it fails.

    Raises:
        Exception: whatever the stage raised, after it was recorded.
    """
    with _recorded(run):
        stage(run)


@contextmanager
def _recorded(run: Run) -> Iterator[None]:
    started, clock = datetime.now(UTC), time.monotonic()
    run.say("started")
    try:
        yield
    except Exception as error:
        status = GATED if isinstance(error, GatedError) else "failed"
        _end(run, started, time.monotonic() - clock, status, f"{type(error).__name__}: {error}")
        raise
    _end(run, started, time.monotonic() - clock, "done", None)
    _say_summary(run)


def _end(run: Run, started: datetime, seconds: float, status: str, error: str | None) -> None:
    """Note how it went, and leave the row."""
    run.status, run.seconds, run.error = status, seconds, error
    if run.stage in _LEAVES_NO_ROW:
        return
    row = (
        run.run_id,
        run.pipeline_id,
        run.stage,
        run.requested_as_of,
        status,
        started,
        seconds,
        run.config.digest(),
        run.config.as_yaml(),
        code_version(),
        dict(run.tables.versions_read),
        dict(run.tables.versions_written),
        dict(run.counts),
        error,
    )
    journal = Tables(run.spark, run.root, run.run_id)
    if status == "done":
        journal.append(RUNS, run.spark.createDataFrame([row], RUNS.schema))
        return
    try:
        if journal.exists(RUNS.name):  # a root that nothing was ever written to stays as it was
            journal.append(RUNS, run.spark.createDataFrame([row], RUNS.schema))
    except Exception as lost:  # a full disk: why the stage failed is not to be hidden by this
        run.say(f"this failure could not be recorded in `runs`: {type(lost).__name__}: {lost}")


def _say_summary(run: Run) -> None:
    """A line for each count, table and note; in JSON one object with all of them."""
    done = f"done in {run.seconds:.1f} s"
    if log.in_json():
        log.say(message=done, **run.report())
        return
    for line in (*_summary(run.counts, run.notes, run.tables), done):
        run.say(line)


def _summary(counts: Mapping[str, int], notes: list[str], tables: Tables) -> Iterator[str]:
    yield from (f"{what.replace('_', ' ')}: {count:,}" for what, count in counts.items())
    yield from (f"wrote {name} (version {version})" for name, version in tables.versions_written.items())
    yield from notes
