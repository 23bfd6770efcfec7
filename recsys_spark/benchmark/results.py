"""What cells came to: as they are measured, as rows of `benchmark_cells`, and over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from statistics import fmean
from typing import Any, Final

from pyspark.sql import Row

from recsys_spark import columns as c
from recsys_spark.benchmark.cells import Cell

EVALUATE: Final = "evaluate"

Key = tuple[str, str, int, str]


@dataclass(frozen=True)
class Measured:
    """One thing measured in a cell: a fit of its model (`evaluate`, `refit`), or a baseline by its name."""

    subject: str
    figures: Mapping[str, float]  # by `cells.figure_key`
    model_version: str
    as_of: date
    training_seconds: float | None = None
    parameters: int | None = None


@dataclass(frozen=True)
class Over:
    """A figure over seeds."""

    mean: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Line:
    """A model, its refit or a baseline on one data set, over the seeds that it was measured with."""

    name: str
    seeds: int
    figures: Mapping[str, Over]
    training_seconds: Over | None
    parameters: int | None


def rows_of(cell: Cell, measured: Sequence[Measured], error: str | None, run_id: str) -> list[tuple[Any, ...]]:
    """The rows of `benchmark_cells` of a cell: one a thing measured, or one that holds the error."""
    before = (cell.dataset, cell.model, cell.seed, cell.config_hash)
    after = (error, datetime.now(UTC), run_id)
    if error is not None:
        return [(*before, None, None, None, None, None, None, *after)]
    return [
        (
            *before,
            each.subject,
            each.as_of,
            dict(each.figures),
            each.training_seconds,
            each.parameters,
            each.model_version,
            *after,
        )
        for each in measured
    ]


def by_cell(rows: Iterable[Row]) -> dict[Key, list[Measured]]:
    """The rows of finished cells, the newest of each thing measured."""
    found: dict[Key, dict[str, Measured]] = {}
    for row in sorted(rows, key=lambda row: row["finished_at"]):
        key = (row[c.DATASET], row[c.MODEL_NAME], row["seed"], row["config_hash"])
        found.setdefault(key, {})[row["subject"]] = Measured(
            row["subject"],
            row["figures"],
            row[c.MODEL_VERSION],
            row[c.AS_OF_DATE],
            row["training_seconds"],
            row["parameters"],
        )
    return {key: list(subjects.values()) for key, subjects in found.items()}


def lines_of(cells: Sequence[Cell], results: Mapping[Key, Sequence[Measured]], baselines: Sequence[str]) -> list[Line]:
    """The lines of one data set's cells: models in their order, each before its refit, then the baselines.

    A baseline is measured beside each model; those of one seed are alike, and count once.
    """
    of_line: dict[str, dict[int, Measured]] = {}
    for cell in cells:
        for each in sorted(results.get(cell.key, ()), key=lambda each: each.subject):
            if each.subject in (EVALUATE, "refit"):
                name = cell.model if each.subject == EVALUATE else f"{cell.model} (refit)"
                of_line.setdefault(name, {})[cell.seed] = each
    for baseline in baselines:
        for cell in cells:
            for each in results.get(cell.key, ()):
                if each.subject == baseline:
                    of_line.setdefault(baseline, {}).setdefault(cell.seed, each)
    return [_line(name, list(by_seed.values())) for name, by_seed in of_line.items()]


def _line(name: str, measured: Sequence[Measured]) -> Line:
    keys = {key for each in measured for key in each.figures}
    seconds = [each.training_seconds for each in measured if each.training_seconds is not None]
    return Line(
        name,
        len(measured),
        {key: _over([each.figures[key] for each in measured if key in each.figures]) for key in keys},
        _over(seconds) if seconds else None,
        max((each.parameters for each in measured if each.parameters is not None), default=None),
    )


def _over(values: Sequence[float]) -> Over:
    return Over(fmean(values), min(values), max(values))
