"""What a night does with the model: train it from scratch, go on from the last one, or keep that one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.runs import How, Run
from recsys_spark.schemas import MODELS
from recsys_spark.settings import Config, Fit
from recsys_spark.training.artifact import meaning_of, model_version

AFTER_INGEST: Final = ("index", "features", "examples", "train", "evaluate", "recommend")
OF_TRAINING: Final = ("examples", "train", "evaluate")  # the stages that a night without training leaves out


def how_to_train(run: Run) -> How:
    """By `night.retrain_days`, from what the models before the run's date are: the same for every run of that date."""
    night = run.config.night
    if night.retrain_days == 1 or not run.tables.exists(MODELS.name):
        return "full"
    rows = models_before(run, "production")
    if due(rows, run.as_of, night.retrain_days):
        return "full"
    return night.between


def due(models: Iterable[Mapping[str, Any]], as_of: date, days: int) -> bool:
    """Whether no model was trained from scratch within the days before a date.

    Args:
        models: rows of `models`, of earlier dates.
    """
    from_scratch = [row[c.AS_OF_DATE] for row in models if row[c.STARTED_FROM] is None]
    return not from_scratch or (as_of - max(from_scratch)).days >= days


def models_before(run: Run, fit: Fit) -> list[dict[str, Any]]:
    """The models of a fit and of this very configuration, of dates before the run's, newest first."""
    known = models_of(run, fit, run.config.model.name)
    return [row for row in known if row[c.AS_OF_DATE] < run.as_of and is_alike(row, run.config)]


def models_of(run: Run, fit: Fit, name: str) -> list[dict[str, Any]]:
    """The models of a fit and a name, of dates up to the run's, newest first. A row a night."""
    rows = run.tables.read(MODELS.name).where(
        (F.col(c.FIT) == fit) & (F.col(c.MODEL_NAME) == name) & (F.col(c.AS_OF_DATE) <= F.lit(run.as_of))
    )
    newest_first = rows.orderBy(F.desc(c.AS_OF_DATE), F.desc("created_at"))
    return [row.asDict() for row in collect_rows(newest_first, "models", run.config.run.driver_bytes)]


def is_alike(model: Mapping[str, Any], config: Config) -> bool:
    """Whether a model means what one of this configuration would, but for its date."""
    expected = model_version(config.model.name, model[c.AS_OF_DATE], model[c.FIT], meaning_of(config))
    return bool(model[c.MODEL_VERSION] == expected)
