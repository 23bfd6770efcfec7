"""The model registry, MLflow's: which version is the champion. Known by this file and the training's tracking alone."""

from __future__ import annotations

from typing import Final

from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.runs import Run
from recsys_spark.training.tracking import quiet, tracking_uri

CHAMPION: Final = "champion"


def crown(run: Run, model_version: str) -> None:
    """Say in the registry that a model is live: a version of the model called by `dataset`, with the alias `champion`.

    The lists are live already by then: a registry that cannot be reached is a note, and no failure.
    """
    row = run.tables.read("models").where(F.col(c.MODEL_VERSION) == model_version).head()
    name = run.config.dataset.replace("/", "-")
    try:
        uri = tracking_uri(run.config.storage.tracking_uri, run.root, run.tables.in_catalog)
        number = _registered(uri, name, model_version, str(row["path"]) if row else "")
    except Exception as error:  # whatever a server, a network or a database raises
        run.notes.append(f"the model registry does not know of {model_version}: {type(error).__name__}: {error}")
        return
    run.notes.append(f"champion in the model registry: {name} version {number}")


def _registered(uri: str, name: str, model_version: str, path: str) -> str:
    """The registry's number of a model version, made if it is new, with the alias moved to it."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    quiet()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)
    known = [
        one
        for one in client.search_model_versions(f"name = '{name}'")
        if one.tags.get(c.MODEL_VERSION) == model_version
    ]
    version = known[0] if known else client.create_model_version(name, path, tags={c.MODEL_VERSION: model_version})
    client.set_registered_model_alias(name, CHAMPION, version.version)
    return str(version.version)
