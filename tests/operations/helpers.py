"""Rows of `runs` and `models` written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from recsys_spark.operations.lineage import PastRun
from recsys_spark.operations.retention import KnownModel

START = datetime(2024, 1, 1, tzinfo=UTC)


def ran(
    run_id: str, day: int, read: Mapping[str, int] | None = None, written: Mapping[str, int] | None = None
) -> PastRun:
    """A run of the stage that its id starts with (`train-2`), on a day of January 2024 for that date."""
    stage, started = run_id.split("-")[0], START + timedelta(days=day - 1, minutes=len(written or {}))
    return PastRun(run_id, stage, date(2024, 1, day), "done", started, "hash", "0.1.0", read or {}, written or {})


def model(version: str, day: int, run_id: str, fit: str = "production", evaluated_by: str | None = None) -> KnownModel:
    """A row of `models`; its name is what the version starts with."""
    made = START + timedelta(days=day - 1)
    return KnownModel(
        version, version.split("-")[0], fit, f"/old/root/{version}", evaluated_by, made, run_id, made.date()
    )
