"""What must stay readable, worked out from what runs name. Plain data, no Spark."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil

from recsys_spark.operations.lineage import PastRun, chain

_LOG_STEP, _LOG_SLACK = 30, 7  # days: the log's retention grows in steps, and lasts until upkeep comes round again


@dataclass(frozen=True)
class KnownModel:
    """A row of `models`, as far as its keeping goes."""

    version: str
    name: str
    fit: str
    path: str
    evaluated_by: str | None
    created_at: datetime
    run_id: str
    as_of: date


@dataclass(frozen=True)
class Listed:
    """Lists that are there: the run that made them, and the model that it used."""

    run_id: str
    model_version: str | None


@dataclass(frozen=True)
class Kept:
    """The runs whose versions stay readable, and the models whose artifacts stay."""

    runs: tuple[PastRun, ...]
    models: tuple[KnownModel, ...]

    def oldest_versions(self) -> dict[str, int]:
        """The oldest version of each table that a kept run read or wrote."""
        oldest: dict[str, int] = {}
        for run in self.runs:
            for versions in (run.read, run.written):
                for table, version in versions.items():
                    oldest[table] = min(version, oldest.get(table, version))
        return oldest


def kept(
    runs: Sequence[PastRun],
    models: Sequence[KnownModel],
    listed: Collection[Listed],
    live: Collection[Listed],
    since: datetime,
) -> Kept:
    """What to keep: runs from `since` on, those behind the live lists, and the models that either made or used.

    The newest production fit of each model stays too, for the next night, and so do the fits that vouch for a model
    that stays, with the runs that trained them.

    Args:
        listed: the lists of every date.
        live: the published ones.
    """
    by_version = {model.version: model for model in models}
    recent = {run.run_id for run in runs if run.started_at >= since}
    for lists in live:
        used = by_version.get(lists.model_version or "")
        recent |= {step.run.run_id for step in chain(runs, lists.run_id, used.run_id if used else None)}
    wanted = {lists.model_version or "" for lists in [*live, *(one for one in listed if one.run_id in recent)]}
    wanted |= {model.version for model in models if model.run_id in recent}
    wanted |= set(_newest_productions(models).values())
    wanted |= {by_version[version].evaluated_by or "" for version in wanted & by_version.keys()}
    staying = tuple(model for model in models if model.version in wanted)
    recent |= {model.run_id for model in staying}
    return Kept(tuple(run for run in runs if run.run_id in recent), staying)


def _newest_productions(models: Iterable[KnownModel]) -> Mapping[str, str]:
    """Model name -> version, of the production fits made last."""
    made = sorted((model for model in models if model.fit == "production"), key=lambda model: model.created_at)
    return {model.name: model.version for model in made}


def hours_to_keep(current_from: datetime | None, now: datetime, least: int) -> int:
    """For how many whole hours removed files must stay, so that a version lives that became the newest at `current_from`.

    Files that it reads were removed after that. None: no version but the newest is needed.
    """
    age = now - current_from if current_from else timedelta()
    return max(least, ceil(age / timedelta(hours=1)))


def days_of_log(hours: int) -> int:
    """For how many days the log must say what was removed when, in steps, so that it is seldom changed."""
    return _LOG_STEP * ceil((hours / 24 + _LOG_SLACK) / _LOG_STEP)


def outdated(changed: Mapping[str, datetime | None], staying: Collection[str], since: datetime) -> list[str]:
    """The folders to remove: neither staying nor changed from `since` on, by when the newest file in them was written.

    An empty folder stays: someone may be about to write to it.
    """
    return [folder for folder, time in changed.items() if folder not in staying and time is not None and time < since]
