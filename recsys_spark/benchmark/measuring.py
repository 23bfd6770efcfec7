"""How a cell is measured: by the stages themselves, in the session of the job."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.benchmark.cells import Cell, figure_key
from recsys_spark.benchmark.results import Measured
from recsys_spark.bounded import collect_rows
from recsys_spark.evaluate.measures import ALL
from recsys_spark.runs import Run, run_stage
from recsys_spark.settings import Config
from recsys_spark.stages import stage_named


class Stages:
    """Measures cells one after the other; a data set is prepared once, examples are drawn once for those that share them.

    Both are done again by the next job, where there is a cell left: the stages replace what they wrote.
    """

    def __init__(self, job: Run) -> None:
        self._job = job
        self._ready: dict[str, date | Exception] = {}
        self._drawn: dict[str, str] = {}

    def measure(self, cell: Cell) -> list[Measured]:
        """Train and evaluate the cell's model.

        Raises:
            Exception: whatever a stage raised; a data set that could not be prepared raises for each of its cells.
        """
        as_of = self._prepared(cell)
        if self._drawn.get(cell.dataset) != cell.examples:
            self._drawn.pop(cell.dataset, None)
            self._run("examples", cell, cell.config, as_of)
            self._drawn[cell.dataset] = cell.examples
        training = self._run("train", cell, cell.config, as_of)
        return _measured(self._run("evaluate", cell, cell.config, as_of), training.run_id)

    def _prepared(self, cell: Cell) -> date:
        """The date of the data set's cells: the one asked for, or else the day of its newest event."""
        if cell.dataset not in self._ready:
            try:
                self._ready[cell.dataset] = self._prepare(cell)
            except Exception as error:
                self._ready[cell.dataset] = error
        ready = self._ready[cell.dataset]
        if isinstance(ready, Exception):
            raise ready
        return ready

    def _prepare(self, cell: Cell) -> date:
        for stage in cell.prepare:
            self._run(stage, cell, cell.ready, self._job.requested_as_of)
        return replace(self._job, root=cell.root, config=cell.ready).as_of

    def _run(self, stage: str, cell: Cell, config: Config, as_of: date | None) -> Run:
        run = Run(stage, self._job.spark, config, cell.root, self._job.pipeline_id, as_of)
        run_stage(run, stage_named(stage))
        return run


def _measured(evaluation: Run, training_id: str) -> list[Measured]:
    """What the evaluate stage wrote of the models of one training, and of the baselines beside them."""
    limit = evaluation.config.run.driver_bytes
    models = evaluation.tables.read("models").where(F.col(c.RUN_ID) == training_id)
    trained = {row[c.MODEL_VERSION]: row for row in collect_rows(models, "the fits of one training", limit)}
    of_run = evaluation.tables.read("metrics").where((F.col(c.RUN_ID) == evaluation.run_id) & (F.col(c.SEGMENT) == ALL))
    figures: dict[str, dict[str, float]] = {}
    for row in collect_rows(of_run, "the figures of one evaluation", limit):
        metric = row[c.METRIC] if row[c.K] is None else f"{row[c.METRIC]}@{row[c.K]}"
        key = figure_key(row[c.PROTOCOL], row[c.SPLIT], metric)
        figures.setdefault(row[c.MODEL_VERSION], {})[key] = row[c.VALUE]
    measured = [Measured(name, figures[name], name, evaluation.as_of) for name in figures if name not in trained]
    for version, row in trained.items():
        manifest = storage.load_manifest(row["path"])
        seconds, parameters = float(manifest["training_seconds"]), int(manifest["parameters"])
        measured.append(Measured(row[c.FIT], figures.get(version, {}), version, evaluation.as_of, seconds, parameters))
    return measured
