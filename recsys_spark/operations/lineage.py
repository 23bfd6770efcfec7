"""From a run back to the events: which runs wrote the versions that it read, theirs, and so on. Plain data, no Spark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from recsys_spark import columns as c
from recsys_spark.schemas import MODELS, TABLES

_REWRITES = "maintain"  # makes versions without changing what they hold


@dataclass(frozen=True)
class PastRun:
    """A row of `runs`, less its configuration and counts."""

    run_id: str
    stage: str
    as_of: date | None
    status: str
    started_at: datetime
    config_hash: str
    code_version: str
    read: Mapping[str, int]
    written: Mapping[str, int]


@dataclass(frozen=True)
class Link:
    """One table that a run read, and the run that wrote what it found there; None where no run left a row of it.

    `earlier` counts the runs before that one whose rows the version holds too, of tables that grow.
    """

    table: str
    version: int
    writer: PastRun | None
    earlier: int


@dataclass(frozen=True)
class Step:
    """A run of the chain with what it read, tables in alphabetical order."""

    run: PastRun
    links: tuple[Link, ...]


def chain(runs: Sequence[PastRun], run_id: str, trained_by: str | None = None) -> list[Step]:
    """The run and all that it leans on, newest first; empty where no row of it is there.

    A version was written by the run that names it in `versions_written`, or else by the last one before it. What a run read of
    tables sliced by date is taken to be of its own date, if a run wrote that. A stage that reads what earlier runs of
    its own wrote (ids given before, events already there) is not followed into them. O(runs x tables).

    Args:
        trained_by: the run behind the model that `run_id` used; without it, the last that wrote `models`.
    """
    by_id = {run.run_id: run for run in runs}
    steps: dict[str, Step] = {}
    waiting = [run_id] if run_id in by_id else []
    while waiting:
        run = by_id[waiting.pop()]
        if run.run_id in steps:
            continue
        model_run = by_id.get(trained_by) if trained_by and run.run_id == run_id else None
        links = tuple(_link(runs, run, table, version, model_run) for table, version in sorted(run.read.items()))
        steps[run.run_id] = Step(run, links)
        waiting += [link.writer.run_id for link in links if link.writer and link.writer.stage != run.stage]
    return sorted(steps.values(), key=lambda step: (step.run.started_at, step.run.run_id), reverse=True)


def _link(runs: Sequence[PastRun], reader: PastRun, table: str, version: int, model_run: PastRun | None) -> Link:
    if table == MODELS.name and model_run:
        return Link(table, version, model_run, 0)
    wrote = [run for run in runs if run.written.get(table, version + 1) <= version and run.stage != _REWRITES]
    wrote.sort(key=lambda run: run.written[table])
    if table in TABLES and c.AS_OF_DATE in TABLES[table].partitioned_by:
        wrote = ([run for run in wrote if run.as_of == reader.as_of] or wrote)[-1:]
    return Link(table, version, wrote[-1] if wrote else None, max(0, len(wrote) - 1))


def lines(steps: Sequence[Step]) -> Iterator[str]:
    """The chain as text: a line a run, and below it one for each table that it read or wrote."""
    for run, links in ((step.run, step.links) for step in steps):
        yield (
            f"{run.stage} {run.run_id}: {f'as of {run.as_of}, ' if run.as_of else ''}{run.status}, "
            f"started {run.started_at:%Y-%m-%d %H:%M:%S} UTC, code {run.code_version}, configuration {run.config_hash}"
        )
        for link in links:
            by = f"written by {link.writer.stage} {link.writer.run_id}" if link.writer else "no run says who wrote it"
            earlier = f" and {link.earlier} run(s) before it" if link.earlier else ""
            yield f"  read {link.table} version {link.version}, {by}{earlier}"
        yield from (f"  wrote {table} version {version}" for table, version in sorted(run.written.items()))
