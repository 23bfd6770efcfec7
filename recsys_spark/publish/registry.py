"""The model registry, MLflow's: which version is the champion, and which the challenger.

The champion made the live lists: those of variant `default`, where several variants are live. The challenger is the newest model
that is live under another variant, or else the newest production fit, if it is newer than the champion and an evaluate fit
vouches for it: one whose lists a gate stopped, or that was trained and not published yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.runs import Run
from recsys_spark.schemas import RECOMMENDATIONS_CURRENT
from recsys_spark.training.tracked_model import MODEL
from recsys_spark.training.tracking import artifact_uri, quiet, run_of, tracking_uri

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
_DEFAULT: Final = "default"
_CREATED: Final = "created_at"


@dataclass(frozen=True)
class Contest:
    """The rows of `models` of both; None where there is none."""

    champion: Row | None
    challenger: Row | None


def crown(run: Run) -> None:
    """Say in the registry which models are live: versions of the model called by `dataset`, with an alias each.

    The lists are live already by then: a registry that cannot be reached is a note, and no failure.
    """
    held = contest(run)
    name = run.config.dataset.replace("/", "-")
    try:
        uri = tracking_uri(run.config.storage.tracking_uri, run.root, run.tables.in_catalog)
        for alias, model in ((CHAMPION, held.champion), (CHALLENGER, held.challenger)):
            number = point(uri, run.config.dataset, name, alias, model)
            if number is not None:
                run.notes.append(f"{alias} in the model registry: {name} version {number}")
    except Exception as error:  # whatever a server, a network or a database raises
        run.notes.append(f"the model registry does not know which models are live: {type(error).__name__}: {error}")


def contest(run: Run) -> Contest:
    """Both, by the tables as they are now: one row a variant and model comes to the driver."""
    models = run.tables.read("models")
    live = run.tables.read_or_empty(RECOMMENDATIONS_CURRENT).select(c.VARIANT, c.MODEL_VERSION).distinct()
    of_variant = models.join(live, on=c.MODEL_VERSION, how="inner").orderBy(F.desc(_CREATED), c.VARIANT)
    vouched = models.where((F.col(c.FIT) == "production") & F.col("evaluated_by").isNotNull())
    newest = vouched.orderBy(F.desc(_CREATED), F.desc(c.MODEL_VERSION)).head()
    return decided(collect_rows(of_variant, "the live models", run.config.run.driver_bytes), newest)


def decided(live: Sequence[Row], newest: Row | None) -> Contest:
    """Both, out of the live models with their variants, the newest first, and the newest production fit that is vouched for."""
    champion = next((row for row in live if row[c.VARIANT] == _DEFAULT), next(iter(live), None))
    if champion is None:
        return Contest(None, newest)
    others = (row for row in live if row[c.MODEL_VERSION] != champion[c.MODEL_VERSION])
    is_next = newest is not None and newest[_CREATED] > champion[_CREATED]
    return Contest(champion, next(others, newest if is_next else None))


def point(uri: str, experiment: str, name: str, alias: str, model: Row | None) -> str | None:
    """The registry's number of a model's version, made if it is new, with the alias moved to it; without a model it goes."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    quiet()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        registered = client.get_registered_model(name)
    except MlflowException:
        registered = None
    if model is None:
        if registered is not None and alias in registered.aliases:
            client.delete_registered_model_alias(name, alias)
        return None
    if registered is None:
        client.create_registered_model(name)
    version = _version(client, uri, experiment, name, model)
    client.set_registered_model_alias(name, alias, version.version)
    return str(version.version)


def _version(client: Any, uri: str, experiment: str, name: str, model: Row) -> Any:
    """The version of a model, made if it is new: out of the MLflow run of its training, or else where its artifact lies."""
    model_version = model[c.MODEL_VERSION]
    for known in client.search_model_versions(f"name = '{name}'"):
        if known.tags.get(c.MODEL_VERSION) == model_version:
            return known
    trained = run_of(uri, experiment, model_version, model[c.RUN_ID])
    source = f"{artifact_uri(uri, trained)}/{MODEL}" if trained else model["path"]
    return client.create_model_version(name, source, run_id=trained, tags={c.MODEL_VERSION: model_version})
