"""Warm starts: a fit that goes on from the last night's weights of the same fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.interactions.index import index_ids
from recsys_spark.nights import models_before
from recsys_spark.runs import Run
from recsys_spark.settings import Fit
from recsys_spark.spark_errors import SparkFailure
from recsys_spark.storage import load_manifest
from recsys_spark.tables import SliceKey
from recsys_spark.training.job import Job

_LEARNT = (c.VOCABULARY, c.MEAN, c.STD, c.IDF, c.SEED, c.FIRST, c.LENGTH, c.SIZE)


@dataclass(frozen=True)
class EarlierModel:
    """The model that a warm start goes on from."""

    version: str
    path: str


def earlier_model(run: Run, fit: Fit) -> EarlierModel | None:
    """The newest model of the same fit and configuration from before the run's date; None, and a note, where none will do.

    An evaluate fit goes on from an evaluate fit, which knows nothing of what is held out now: its own train part ended
    earlier. It will not do where declared features have been learnt otherwise since: their codes mean other values then.
    """
    rows = models_before(run, fit)
    if not rows:
        run.notes.append(f"{fit} fit: trained from scratch, there is no earlier one of this configuration")
        return None
    earlier = EarlierModel(rows[0][c.MODEL_VERSION], rows[0]["path"])
    if load_manifest(earlier.path).get("index", index_ids(run.tables)) != index_ids(run.tables):
        run.notes.append(f"{fit} fit: trained from scratch, {earlier.version} was trained on another index")
        return None
    if run.config.features.declared and not _knows_the_same(run, fit, load_manifest(earlier.path)):
        run.notes.append(
            f"{fit} fit: trained from scratch, what is learnt of the features is not what {earlier.version} knew"
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


def _knows_the_same(run: Run, fit: Fit, manifest: Mapping[str, Any]) -> bool:
    now: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
    then: SliceKey = {c.AS_OF_DATE: date.fromisoformat(manifest["as_of_date"]), c.FIT: fit}
    version = manifest["versions"].get("feature_specs")
    if version is None:
        return False
    try:
        learnt = [
            {row[c.FEATURE]: tuple(row.asDict().get(name) for name in _LEARNT) for row in rows}
            for rows in (
                collect_rows(frame, "what was learnt of features", run.config.run.driver_bytes)
                for frame in (
                    run.tables.read_slice("feature_specs", now),
                    run.tables.read_version("feature_specs", version, then),
                )
            )
        ]
    except SparkFailure:  # vacuumed since
        return False
    return learnt[0] == learnt[1]
