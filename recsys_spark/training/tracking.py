"""MLflow, written to by the driver alone: parameters, metrics by epoch, the artifact."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.training.job import Outcome

_LONGEST_VALUE = 500
_ARTIFACTS = "mlflow-artifacts"
_MIGRATIONS = "alembic"  # says a line for each of the store's tables, the first time


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
    run_id: str = "",
) -> str:
    """One MLflow run for one fit; its id. `figures` are of the trained model; those that are None are left out.

    Args:
        name: the model's version; by it and `run_id`, the run in `runs`, the MLflow run is found again, see `run_of`.
    """
    import mlflow

    quiet()
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(experiment) is None:
        files = Path(uri.removeprefix("sqlite:///")).parent / _ARTIFACTS if uri.startswith("sqlite:///") else None
        mlflow.create_experiment(experiment, artifact_location=files.as_uri() if files else None)
    mlflow.set_experiment(experiment)
    with mlflow.start_run(run_name=name, tags={c.MODEL_VERSION: name, c.RUN_ID: run_id}) as run:
        mlflow.log_params({key: str(value)[:_LONGEST_VALUE] for key, value in _flat(parameters).items()})
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
        mlflow.log_artifacts(str(storage.local_copy(artifact)), artifact_path="model")
        return str(run.info.run_id)


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


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
