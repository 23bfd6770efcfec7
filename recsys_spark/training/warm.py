"""Warm starts: a fit that goes on from the last night's weights of the same fit."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.features.context_sources import CONTEXT
from recsys_spark.features.knowledge import knowledge, those_of
from recsys_spark.interactions.index import index_ids
from recsys_spark.nights import models_before
from recsys_spark.runs import Run
from recsys_spark.settings import Fit
from recsys_spark.storage import load_manifest
from recsys_spark.training.artifact import load_learnt
from recsys_spark.training.job import Job


@dataclass(frozen=True)
class EarlierModel:
    """The model that a warm start goes on from."""

    version: str
    path: str


def earlier_model(run: Run, fit: Fit) -> EarlierModel | None:
    """The newest model of the same fit and configuration from before the run's date; None, and a note, where none will do.

    An evaluate fit goes on from an evaluate fit, which knows nothing of what is held out now: its own train part ended
    earlier. It will not do where the features that it takes have been learnt otherwise since: their codes mean other values.
    """
    rows = models_before(run, fit)
    if not rows:
        run.notes.append(f"{fit} fit: trained from scratch, there is no earlier one of this configuration")
        return None
    earlier = EarlierModel(rows[0][c.MODEL_VERSION], rows[0]["path"])
    if load_manifest(earlier.path).get("index", index_ids(run.tables)) != index_ids(run.tables):
        run.notes.append(f"{fit} fit: trained from scratch, {earlier.version} was trained on another index")
        return None
    if run.config.features.declared and not _knows_the_same(run, fit, earlier):
        run.notes.append(
            f"{fit} fit: trained from scratch, {earlier.version} is not known to have learnt the same of the features"
        )
        return None
    run.notes.append(f"{fit} fit: went on from {earlier.version}")
    return earlier


def warm_job(job: Job, earlier: EarlierModel, epochs: int) -> Job:
    """The same job for a few epochs from an earlier model's weights, with an optimizer of its own."""
    training = job.training.model_copy(update={"epochs": epochs})
    identity = f"{job.identity}/from {earlier.path}"
    return dataclasses.replace(
        job, training=training, epochs=min(job.epochs, epochs), warm=earlier.path, identity=identity, halves=()
    )


def _knows_the_same(run: Run, fit: Fit, earlier: EarlierModel) -> bool:
    """Whether an earlier model encodes the features that it takes as the fit does now."""
    now, manifest = knowledge(run, fit, run.config.model.chosen.sides), load_manifest(earlier.path)
    if not now:
        return True
    try:
        then = load_learnt(earlier.path, manifest)
    except UserError:  # damaged: what is trained now is whole again
        return False
    return then == those_of(now, "user", "item") and manifest["context"] == those_of(now, CONTEXT)
