"""Stages in order: which are to be run, which a killed run has left done, and the running of them under one lease."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.lease import Lease
from recsys_spark.nights import AFTER_INGEST, OF_TRAINING, how_to_train
from recsys_spark.runs import GATED, Run, run_stage
from recsys_spark.schemas import EVENTS, RUNS, TABLES
from recsys_spark.settings import Config
from recsys_spark.stages import stage_named
from recsys_spark.tables import Tables
from recsys_spark.version import code_version

# their root may hold none: no date follows from it
_WITHOUT_EVENTS: Final = {"generate", "benchmark", "experiment", "maintain", "lineage", "forget", "check_forgotten"}
# they write what no other does, elsewhere, or nothing
_ALONE: Final = {"explore", "monitor", "report", "benchmark", "tune", "lineage", "check_forgotten"}
_BRINGS_EVENTS: Final = ("generate", "ingest")
_YOUNG: Final = timedelta(hours=18)
_OF_SEVERAL: Final = "night-"  # how the pipeline_id of a run of several stages begins
_VERSION: Final = "version"
_LOOKED_AT: Final = 50  # the latest commits to `runs` that may tell of an unfinished one


@dataclass(frozen=True)
class Night:
    """What one run of several stages is to do: the stages left, those that are done, for which date, under which id."""

    stages: tuple[str, ...]
    as_of: date | None = None
    done: tuple[str, ...] = ()
    pipeline_id: str = ""
    dated: bool = True  # whether the date was asked for, or else is that of the newest event
    anew: str = ""  # why it does not go on with the one before, which ended early

    def __post_init__(self) -> None:
        if not self.pipeline_id:
            start = _OF_SEVERAL if len(self.stages) > 1 else ""
            object.__setattr__(self, "pipeline_id", f"{start}{uuid.uuid4().hex[:16]}")


def chosen(stages: Sequence[str], first: str | None, last: str | None) -> tuple[str, ...]:
    """The stages from `first` to `last`, both among them.

    Raises:
        UserError: there is no such stage, or the last comes before the first.

    >>> chosen(("ingest", "index", "features"), "index", None)
    ('index', 'features')
    """
    for name in (first, last):
        if name is not None and name not in stages:
            raise UserError(f"there is no stage {name!r}: choose one of {', '.join(stages)}")
    start = stages.index(first) if first else 0
    end = stages.index(last) if last else len(stages) - 1
    if end < start:
        raise UserError(f"--until {last} comes before --from {first}: the order is {', '.join(stages)}")
    return tuple(stages[start : end + 1])


def left_by(
    rows: Iterable[Mapping[str, Any]],
    stages: Sequence[str],
    config: str,
    as_of: date | None,
    code: str,
    by_force: bool = False,
) -> Night:
    """The night to run: what the latest pipeline left unfinished, if it is this one, else all the stages anew.

    It is this one if the whole configuration, where files lie included, and the code are the same, and the date, where one
    is asked for. Only the latest run of several stages counts: what ran since may have changed what they read. Where no
    date is asked for it must be younger than half a day or so: a new night has events of its own. One that a gate stopped
    begins anew, with the events that have come since, unless its lists are to be published by force.

    Args:
        rows: of `runs`, in any order, each with the `version` of that table that it made: a clock may have jumped between them.
    """
    ordered = sorted((row for row in rows if row["stage"] in stages), key=lambda row: row[_VERSION])
    latest = ordered[-1]["pipeline_id"] if ordered else ""
    own = [row for row in ordered if row["pipeline_id"] == latest]
    done = [row for row in own if row["status"] == "done"]
    names = {row["stage"] for row in done}
    behind = [place for place, name in enumerate(stages) if name in names]
    kept = (
        {name for name in stages[: behind[-1]] if name in OF_TRAINING} if behind else set()
    )  # left out, as a model was kept
    whole = tuple(name for place, name in enumerate(stages) if (names | kept).issuperset(stages[: place + 1]))
    if not latest.startswith(_OF_SEVERAL) or not whole or stages[-1] in names:
        return Night(tuple(stages), as_of)  # a job by itself, nothing to spare, or nothing left
    dates = {row[c.AS_OF_DATE] for row in done} - {None}
    found = next(iter(dates), None)
    # Spark hands times over in the machine's own zone; one that is ahead is of a clock that was set back
    now = datetime.now()
    reasons = {
        "the configuration is another": any(row["config"] != config for row in own),
        "the code is another": any(row["code_version"] != code for row in own),
        f"it was of {found}": len(dates) > 1 or (as_of is not None and found is not None and found != as_of),
        "no date is asked for, and it is not of the last hours": as_of is None
        and any(abs(now - row["started_at"]) >= _YOUNG for row in own),
        "a gate stopped it": own[-1]["status"] == GATED and not by_force,
    }
    why = [reason for reason, holds in reasons.items() if holds]
    if why:
        return Night(tuple(stages), as_of, anew=", ".join(why))
    return Night(tuple(stages[len(whole) :]), as_of or found, whole, latest)


class Nights:
    """What runs below one root: nights planned by what is there, each under the root's lease.

    Args:
        asked: the arguments that the job alone takes, see `options`.
        runs: takes each run as it starts.
    """

    def __init__(
        self, spark: SparkSession, config: Config, root: str, asked: Mapping[str, Any], runs: list[Run]
    ) -> None:
        self._spark, self._config, self._root = spark, config, root
        self._asked, self._runs = asked, runs
        self._tables = Tables(spark, root)

    def planned(self, stages: Sequence[str], as_of: date | None) -> list[Night]:
        """One night, gone on with where a run was killed, or one for each day of a backfill.

        A backfill has no ingest: the events are there, and each night reads those up to its own day. Nor does it publish: the
        live lists are of a later day. Days that an earlier run of it has finished are left out, unless `--fresh` is given.

        Raises:
            UserError: the last day of a backfill comes before the first.
        """
        if self._asked.get("backfill"):
            of_day = tuple(name for name in stages if name not in ("ingest", "publish"))
            there = set() if self._asked.get("fresh") or not of_day else self._finished(of_day[-1])
            return [Night(of_day, day) for day in dates(*self._asked["backfill"]) if day not in there]
        as_of = self._asked.get("to") or as_of
        anew = self._asked.get("fresh") or self._asked.get("from_stage") or len(stages) == 1
        night = Night(tuple(stages), as_of) if anew else self._left(stages, as_of)
        return [replace(night, dated=as_of is not None)]

    def run(self, night: Night) -> None:
        """Run the stages that are left, in order, each in a run of its own.

        Raises:
            Exception: what a stage raised; the stages after it are not run.
        """
        with self._lease(night) or nullcontext() as lease:
            self._run(night, lease)

    def dry_run(self, night: Night) -> Iterator[str]:
        """What a night would run, on which versions of which tables, and how many rows they hold. Nothing is written.

        Reads Delta's logs alone: O(files).
        """
        yield f"as of {night.as_of or 'the day of the newest event'}, configuration {self._config.digest()}, root {self._root}"
        kept = self._keeps_its_model(night)
        for stage in (*night.done, *night.stages):
            left_out = "done by an earlier run, left out" if stage in night.done else ""
            left_out = left_out or ("left out, the model is kept" if kept and stage in OF_TRAINING else "")
            yield f"{stage}: {left_out or 'would run'}"
        there = [name for name in TABLES if self._tables.exists(name)]
        for name in there:
            yield f"there is {name}, version {self._tables.version(name)}, {self._tables.size(name).rows:,} rows"
        if not there:
            yield f"there is no table under {self._root} yet"

    def _run(self, night: Night, lease: Lease | None) -> None:
        as_of, how = night.as_of, None
        turn = lease.turn if lease is not None else None
        for stage in night.stages:
            if lease is not None:
                lease.check()
            options = {**self._asked, "dated": night.dated}
            run = Run(
                stage, self._spark, self._config, self._root, night.pipeline_id, as_of, turn=turn, options=options
            )
            if stage in AFTER_INGEST and "train" in (*night.done, *night.stages):
                how = how or how_to_train(run)
                run.training = how
            if stage in OF_TRAINING and how == "keep":
                run.say("left out: the model of an earlier night is kept, see night.retrain_days")
                continue
            self._runs.append(run)
            run_stage(run, stage_named(stage))
            # the newest event's day is looked up once, after ingest, so that all stages speak of the same date
            as_of = as_of or (run.as_of if stage not in _WITHOUT_EVENTS else None)

    def _keeps_its_model(self, night: Night) -> bool:
        """Whether the night would train nothing; not before there are events, where the date follows from them."""
        if "train" not in night.stages or not self._tables.exists(EVENTS.name):
            return False
        return how_to_train(Run("train", self._spark, self._config, self._root, "", night.as_of)) == "keep"

    def _finished(self, stage: str) -> set[date]:
        """The dates that a run of this very configuration and code has brought through a stage."""
        if not self._tables.exists(RUNS.name):
            return set()
        done = (F.col("stage") == stage) & (F.col("status") == "done") & (F.col("code_version") == code_version())
        rows = self._tables.read(RUNS.name).where(done & (F.col("config") == self._config.as_yaml()))
        found = collect_rows(rows.select(c.AS_OF_DATE).distinct(), "dates that are done", self._config.run.driver_bytes)
        return {row[0] for row in found}

    def _left(self, stages: Sequence[str], as_of: date | None) -> Night:
        if not self._tables.exists(RUNS.name):
            return Night(tuple(stages), as_of)
        writers = self._tables.writers(RUNS.name, _LOOKED_AT)
        newest = self._tables.read(RUNS.name).where(F.col(c.RUN_ID).isin(list(writers)))
        known = ("pipeline_id", "stage", c.AS_OF_DATE, "status", "started_at", "config", "code_version", c.RUN_ID)
        rows = collect_rows(newest.select(*known), "the latest runs", self._config.run.driver_bytes)
        told = [row.asDict() | {_VERSION: writers[row[c.RUN_ID]]} for row in rows]
        return left_by(told, stages, self._config.as_yaml(), as_of, code_version(), bool(self._asked.get("force")))

    def _lease(self, night: Night) -> Lease | None:
        """None for stages that need none, or where leases are off."""
        seconds = self._config.run.lease_seconds
        if not seconds or _ALONE.issuperset(night.stages):
            return None
        if night.stages[0] not in _BRINGS_EVENTS and not self._tables.exists(RUNS.name):
            return None  # there is nothing to keep apart, and a mistaken root stays as it was
        return Lease(self._spark, self._root, night.pipeline_id, seconds)


def dates(first: date, last: date) -> list[date]:
    """Every day from the first to the last.

    Raises:
        UserError: the last comes before the first.
    """
    if last < first:
        raise UserError(f"--backfill {first} {last}: the last day comes before the first")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
