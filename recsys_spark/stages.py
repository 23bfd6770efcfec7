"""The stages by name, each imported only when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from recsys_spark.runs import Stage

_STAGES: Final = {
    "generate": "recsys_spark.events.generate",
    "ingest": "recsys_spark.events.ingest",
    "explore": "recsys_spark.explore.stage",
    "index": "recsys_spark.interactions.stage",
    "features": "recsys_spark.features.stage",
    "examples": "recsys_spark.examples.stage",
    "train": "recsys_spark.training.stage",
    "recommend": "recsys_spark.recommend.stage",
    "publish": "recsys_spark.publish.stage",
    "rollback": "recsys_spark.publish.rollback",
    "monitor": "recsys_spark.monitoring.stage",
    "evaluate": "recsys_spark.evaluate.stage",
    "report": "recsys_spark.report.stage",
    "tune": "recsys_spark.tuning.stage",
    "benchmark": "recsys_spark.benchmark.stage",
    "experiment": "recsys_spark.experiments.stage",
    "maintain": "recsys_spark.operations.maintain",
    "lineage": "recsys_spark.operations.trace",
    "forget": "recsys_spark.forget.stage",
    "check_forgotten": "recsys_spark.forget.check",
}

PIPELINE: Final = ("ingest", "index", "features", "examples", "train", "evaluate", "recommend", "publish")


def stage_named(name: str) -> Stage:
    """The function `run(Run) -> None` that does a stage's work."""
    stage: Stage = import_module(_STAGES[name]).run
    return stage
