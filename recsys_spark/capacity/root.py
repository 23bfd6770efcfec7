"""The counts and the runs of a root, from the logs of its tables: no row of theirs is read, but those of `runs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark.bounded import collect_rows
from recsys_spark.capacity.coefficients import Observed, calibrated, load_coefficients
from recsys_spark.capacity.disk import disk_of
from recsys_spark.capacity.plan import Plan, estimate
from recsys_spark.capacity.work import Counts, work_of
from recsys_spark.schemas import RUNS
from recsys_spark.settings import Config
from recsys_spark.tables import Tables

_COUNTED: Final = ("events", "users", "items", "interactions")
_LATEST: Final = 50  # runs that are looked at


def plan_of(tables: Tables, config: Config) -> Plan:
    """What a night on this root takes, on this cluster. Reads the logs of its tables, and its last runs.

    Raises:
        MissingTableError: there are no events, users or items yet; the message names the job that makes them.
    """
    counts = counts_of(tables, config)
    shipped = load_coefficients().on(tables.spark.sparkContext.defaultParallelism)
    return estimate(counts, config, calibrated(shipped, observed(tables, config, counts)))


def counts_of(tables: Tables, config: Config) -> Counts:
    """How large the root is. Without `interactions` every event counts as a pair of its own.

    Raises:
        MissingTableError: there are no events, users or items yet.
    """
    events, users, items = (tables.size(name).rows for name in ("events", "users", "items"))
    pairs = tables.size("interactions").newest_rows if tables.exists("interactions") else events
    counts = Counts(events, users, items, pairs)
    names = [one.name for one in disk_of(counts, config, load_coefficients())]
    sizes = {name: tables.size(name) for name in names if name != "artifacts" and tables.exists(name)}
    return replace(
        counts,
        row_bytes={name: size.newest_bytes / size.newest_rows for name, size in sizes.items() if size.newest_rows},
    )


def observed(tables: Tables, config: Config, today: Counts) -> list[Observed]:
    """The latest runs that were done, newest first, each with what it had to do.

    The counts are those of the versions that the run, or its pipeline, read or wrote; where these are not known or not in the
    log any more, today's. A run whose configuration cannot be had any more is left out.
    """
    if not tables.exists(RUNS.name):
        return []
    done = tables.read(RUNS.name).where((F.col("status") == "done") & F.col("stage").isin(*work_of(today, config)))
    latest = done.orderBy(F.desc("started_at"), "run_id").limit(_LATEST)
    rows = collect_rows(latest, "the latest runs", config.run.driver_bytes)
    versions = _versions_of_pipelines(rows)

    @cache
    def rows_of(name: str, version: int) -> int | None:
        try:
            return tables.size(name, version).newest_rows
        except Exception:  # the version is not in the log any more
            return None

    def counts_at(known: Mapping[str, int]) -> Counts:
        then = {name: rows_of(name, known[name]) for name in _COUNTED if name in known}
        return Counts(
            events=then.get("events") or today.events,
            users=then.get("users") or today.users,
            items=then.get("items") or today.items,
            pairs=then.get("interactions") or today.pairs,
        )

    runs = ((row, _config_of(row["config"], config)) for row in rows)
    return [
        Observed(row["stage"], row["seconds"], counts_at(versions[row["pipeline_id"]]), then)
        for row, then in runs
        if then is not None
    ]


def _versions_of_pipelines(rows: list[Row]) -> Mapping[str, dict[str, int]]:
    versions: dict[str, dict[str, int]] = {}
    for row in rows:
        known = versions.setdefault(row["pipeline_id"], {})
        known |= dict(row["versions_read"] or {}) | dict(row["versions_written"] or {})
    return versions


def _config_of(text: str, today: Config) -> Config | None:
    """The configuration of a run: keys that its version did not have are as today, keys that today's has not are left out."""
    try:
        return Config.model_validate(_laid_over(today.model_dump(mode="json"), yaml.safe_load(text)))
    except ValidationError:
        return None


def _laid_over(now: Any, then: Any) -> Any:
    if not isinstance(now, dict) or not isinstance(then, dict):
        return then
    return {key: _laid_over(value, then[key]) if key in then else value for key, value in now.items()}
