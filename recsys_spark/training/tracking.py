"""MLflow, written to by the driver alone: parameters, metrics by epoch, the artifact."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.training.job import Outcome
from recsys_spark.training.tracked_model import Inputs, log_inputs, log_model

_LONGEST_VALUE = 500
_ARTIFACTS = "mlflow-artifacts"
_MIGRATIONS = "alembic"  # says a line for each of the store's tables, the first time


@dataclass(frozen=True)
class TrackedRun:
    """Where a training stood: its run in `runs`, the root and versions of tables that it read, whether lists leave out what
    users had."""

    run_id: str
    root: str
    inputs: Inputs
    exclude_seen: bool


def tracking_uri(configured: str, root: str, in_catalog: bool) -> str:
    """Where runs are recorded: what is configured, or a SQLite file below a local root.

    Raises:
        UserError: nothing is configured and the root is no local path.
    """
    if configured:
        return configured
    if in_catalog or "://" in root:
        raise UserError(f"storage.tracking_uri is empty and the root {root} is no local path: name an MLflow server")
    return f"sqlite:///{Path(root).absolute()}/mlflow.db"


def record(
    uri: str,
    experiment: str,
    name: str,
    parameters: Mapping[str, Any],
    outcome: Outcome,
    artifact: str,
    figures: Mapping[str, float | None],
    of: TrackedRun,
) -> str:
    """One MLflow run for one fit; its id. `figures` are of the trained model; those that are None are left out.

    Args:
        name: the model's version; by it and the run's id in `runs` the MLflow run is found again, see `run_of`.
        of: what it was trained on, see `TrackedRun`.
    """
    import mlflow

    quiet()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=experiment_id(mlflow.MlflowClient(tracking_uri=uri), uri, experiment))
    with mlflow.start_run(run_name=name, tags={c.MODEL_VERSION: name, c.RUN_ID: of.run_id}) as run:
        mlflow.log_params(flat(parameters))
        log_inputs(of.inputs)
        for epoch in outcome.history:
            of_epoch = {
                "loss": epoch.loss,
                "seconds": epoch.seconds,
                "samples_per_second": epoch.samples / epoch.seconds,
            }
            of_epoch |= {f"validation_{key.replace('@', '_at_')}": value for key, value in epoch.validation.items()}
            mlflow.log_metrics(of_epoch, step=epoch.number)
        mlflow.log_metric("best_epoch", outcome.best_epoch)
        mlflow.log_metrics({key: value for key, value in figures.items() if value is not None})
        log_model(storage.local_copy(artifact), of.root, of.exclude_seen)
        return str(run.info.run_id)


def experiment_id(client: Any, uri: str, name: str) -> str:
    """The experiment of that name, made if it is new; its artifacts lie beside a SQLite file."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    files = Path(uri.removeprefix("sqlite:///")).parent / _ARTIFACTS if uri.startswith("sqlite:///") else None
    return str(client.create_experiment(name, artifact_location=files.as_uri() if files else None))


def log_files(
    uri: str, experiment: str, model_version: str, run_id: str, files: Mapping[str, bytes], under: str
) -> str | None:
    """Files by name as artifacts of the MLflow run of a training, in a folder of it; the run's id, None where there is none."""
    import mlflow

    quiet()
    found = run_of(uri, experiment, model_version, run_id)
    if found is None:
        return None
    with tempfile.TemporaryDirectory(prefix="recsys-report-") as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        mlflow.MlflowClient(tracking_uri=uri).log_artifacts(found, folder, under)
    return found


def run_of(uri: str, experiment: str, model_version: str, run_id: str) -> str | None:
    """The id of the MLflow run of a training, by its model's version and its run in `runs`."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=uri)
    of_name = client.get_experiment_by_name(experiment)
    if of_name is None:
        return None
    tagged = f"tags.{c.MODEL_VERSION} = '{model_version}' and tags.{c.RUN_ID} = '{run_id}'"
    runs = client.search_runs([of_name.experiment_id], tagged, max_results=1)
    return str(runs[0].info.run_id) if runs else None


def artifact_uri(uri: str, run_id: str) -> str:
    """Where an MLflow run keeps its artifacts."""
    import mlflow

    return str(mlflow.MlflowClient(tracking_uri=uri).get_run(run_id).info.artifact_uri)


def quiet() -> None:
    """MLflow says what goes wrong, and nothing of how its store is laid out."""
    for name in (_MIGRATIONS, "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)


def artifact_locations(uri: str, experiment: str) -> list[str]:
    """Where the store keeps artifacts: the folder that `record` makes beside a SQLite file, else each run's own."""
    if uri.startswith("sqlite:///"):
        return [str(Path(uri.removeprefix("sqlite:///")).parent / _ARTIFACTS)]
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    locations: list[str] = []
    token: str | None = None
    while True:
        page = client.search_runs([found.experiment_id], page_token=token)
        locations += [run.info.artifact_uri for run in page]
        token = page.token
        if not token:
            return locations


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as MLflow takes parameters: by their whole key, in words that are not too long."""
    found: dict[str, str] = {}
    for key, value in values.items():
        one = f"{prefix}{key}"
        found |= flat(value, f"{one}.") if isinstance(value, Mapping) else {one: str(value)[:_LONGEST_VALUE]}
    return found
