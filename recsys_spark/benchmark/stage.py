"""The benchmark job: cells of the configuration -> `benchmark_cells`, a Markdown table and a picture below the root."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from pyspark.sql import functions as F

from recsys_spark import storage
from recsys_spark.benchmark.cells import Cell, cells_of
from recsys_spark.benchmark.measuring import Stages
from recsys_spark.benchmark.plot import plot
from recsys_spark.benchmark.report import markdown
from recsys_spark.benchmark.results import Key, Line, Measured, by_cell, lines_of, rows_of
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import PartlyFailedError
from recsys_spark.evaluate.measures import RATINGS
from recsys_spark.evaluate.ratings import BIASES, GLOBAL_MEAN
from recsys_spark.runs import Run
from recsys_spark.schemas import BENCHMARK_CELLS
from recsys_spark.training.nested import Nested

Measure = Callable[[Cell], Sequence[Measured]]


def run(run: Run) -> None:
    """Measure the cells that are not there yet, by the stages themselves, then report on all."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # warns that each model is compiled anew, as it must be
    benchmark(run, tracked(run, Stages(run).measure))


def tracked(run: Run, measure: Measure) -> Measure:
    """The same, and each cell as a run in MLflow, below one of the whole benchmark."""
    nested = Nested(run, f"benchmark {run.config.digest('benchmark')}")

    def measured(cell: Cell) -> Sequence[Measured]:
        names = {"dataset": cell.dataset, "model": cell.model, "seed": cell.seed, "config_hash": cell.config_hash}
        try:
            found = measure(cell)
        except Exception as error:
            nested.child(str(cell), names, {}, error=f"{type(error).__name__}: {error}")
            raise
        figures = {f"{one.subject}/{key}": value for one in found for key, value in one.figures.items()}
        seconds = {f"{one.subject}/training_seconds": one.training_seconds for one in found}
        nested.child(str(cell), {**names, "config": cell.config.model_dump(mode="json")}, {**figures, **seconds})
        return found

    return measured


def benchmark(run: Run, measure: Measure) -> None:
    """The job, with each cell measured by `measure`. Cells are kept as they finish, so that a later run goes on.

    Raises:
        UserError: the configuration of a cell does not hold; nothing was run.
        PartlyFailedError: some cells failed, and are named; the others are in the report.
    """
    chosen = run.config.benchmark
    cells = cells_of(run.config, "" if run.tables.in_catalog else run.root, run.requested_as_of)
    results = _kept(run)
    left = [cell for cell in cells if cell.key not in results]
    run.say(f"{len(cells)} cells, {len(cells) - len(left)} of them are there already")
    failed: dict[str, str] = {}
    for cell, outcome in _each(run, left, measure):
        error = outcome if isinstance(outcome, str) else None
        measured = [] if isinstance(outcome, str) else list(outcome)
        rows = run.spark.createDataFrame(rows_of(cell, measured, error, run.run_id), BENCHMARK_CELLS.schema)
        run.tables.append(BENCHMARK_CELLS, rows)
        if error is None:
            results[cell.key] = measured
        else:
            failed[str(cell)] = error
    baselines = [*chosen.baselines, *(BIASES, GLOBAL_MEAN) * (RATINGS in chosen.protocols)]
    lines = {
        dataset: lines_of(list(of_dataset), results, baselines)
        for dataset, of_dataset in groupby(cells, key=lambda cell: cell.dataset)
    }
    run.counts |= {"cells": len(cells), "failed": len(failed)}
    _report(run, lines, failed)
    if failed:
        raise PartlyFailedError(f"{len(failed)} of {len(cells)} cells: " + "; ".join(failed))


def _each(run: Run, cells: Sequence[Cell], measure: Measure) -> Iterator[tuple[Cell, Sequence[Measured] | str]]:
    """Each cell with what it came to, or with what went wrong."""
    for number, cell in enumerate(cells, start=1):
        run.say(f"cell {number} of {len(cells)}: {cell}")
        try:
            yield cell, measure(cell)
        except Exception as error:  # whatever it is, the other cells may be well
            run.say(f"{cell} failed: {type(error).__name__}: {error}")
            yield cell, f"{type(error).__name__}: {error}"


def _kept(run: Run) -> dict[Key, list[Measured]]:
    """What earlier runs finished, by cell."""
    finished = run.tables.read_or_empty(BENCHMARK_CELLS).where(F.col("error").isNull())
    return by_cell(collect_rows(finished, "the cells of benchmarks below this root", run.config.run.driver_bytes))


def _report(run: Run, lines: Mapping[str, Sequence[Line]], failed: Mapping[str, str]) -> None:
    folder = run.reports
    report = markdown(run.config.benchmark, lines, failed)
    for line in report:
        run.say(line)
    storage.save_file(storage.join(folder, "benchmark.md"), "\n".join([*report, ""]).encode())
    storage.save_file(storage.join(folder, "benchmark.png"), plot(run.config.benchmark, lines))
    run.say(f"the table and the picture: {storage.join(folder, 'benchmark.md')}, benchmark.png")
