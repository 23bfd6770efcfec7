"""Which model is reported on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.errors import MissingTableError, UserError
from recsys_spark.runs import Run
from recsys_spark.schemas import MODELS


@dataclass(frozen=True)
class Chosen:
    """A row of `models`, and what its artifact says of itself."""

    row: Row
    manifest: Mapping[str, Any]

    @property
    def version(self) -> str:
        return str(self.row[c.MODEL_VERSION])

    @property
    def fit(self) -> str:
        return str(self.row[c.FIT])

    @property
    def as_of(self) -> date:
        day: date = self.row[c.AS_OF_DATE]
        return day

    @property
    def path(self) -> str:
        return str(self.row["path"])

    @property
    def n_items(self) -> int:
        """Items that the model knows: indices below this."""
        return int(self.manifest["model"]["n_items"])


def chosen_model(run: Run, model_version: str | None) -> Chosen:
    """The model of that version, or else the newest evaluate fit of `model.name`, of the run's date where one was asked for.

    Raises:
        UserError: there is none, or its artifact is gone; the message says which there are, and what to run.
    """
    name = run.config.model.name
    if not run.tables.exists(MODELS.name):
        raise MissingTableError(f"nothing was trained under {run.root}: run jobs/train.py first")
    models = run.tables.read(MODELS.name)
    if run.requested_as_of is not None:
        models = models.where(F.col(c.AS_OF_DATE) == F.lit(run.requested_as_of))
    newest_first = models.orderBy(F.desc("created_at"), F.desc(c.MODEL_VERSION))
    wanted = (
        F.col(c.MODEL_VERSION) == model_version
        if model_version
        else (F.col(c.FIT) == "evaluate") & (F.col(c.MODEL_NAME) == name)
    )
    row = newest_first.where(wanted).head()
    if row is None:
        what = f"model version {model_version}" if model_version else f"evaluate fit of {name}"
        known = ", ".join(one[c.MODEL_VERSION] for one in newest_first.select(c.MODEL_VERSION).head(5)) or "none"
        raise UserError(
            f"there is no {what} to report on under {run.root}: run jobs/train.py, or take one of table `models` by "
            f"--model-version (the newest: {known})"
        )
    if not storage.has_folder(row["path"]):
        raise UserError(
            f"model {row[c.MODEL_VERSION]} has no artifact at {row['path']} any more: run jobs/train.py again"
        )
    return Chosen(row, storage.load_manifest(row["path"]))
