"""Runs within a run, in MLflow: a study with its trials, a benchmark with its cells."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recsys_spark.runs import Run
from recsys_spark.training.tracking import experiment_id, flat, quiet, tracking_uri

_PARENT: Final = "mlflow.parentRunId"
_OF_WHAT: Final = "recsys_parent"


class Nested:
    """A parent run by its name, the earlier one where a job goes on with it, and its children.

    A server that cannot be reached is a note of the run, and no failure: tables hold the same figures.
    """

    def __init__(self, run: Run, name: str, metric: str = "value") -> None:
        self._run, self._name, self._metric = run, name, metric
        self._client: Any = None
        self._parent: Any = None
        self._failed = False

    def child(
        self,
        name: str,
        parameters: Mapping[str, Any],
        figures: Mapping[str, float | None],
        curve: Sequence[float] = (),
        error: str | None = None,
    ) -> None:
        """One run below the parent, finished; `curve` is the metric by epoch, `error` why it failed."""
        if self._failed:
            return
        try:
            self._log(name, parameters, figures, curve, error)
        except Exception as unreachable:  # whatever a server, a network or a database raises
            self._failed = True
            self._run.notes.append(f"MLflow does not know of {self._name}: {type(unreachable).__name__}: {unreachable}")

    def _log(
        self,
        name: str,
        parameters: Mapping[str, Any],
        figures: Mapping[str, float | None],
        curve: Sequence[float],
        error: str | None,
    ) -> None:
        from mlflow.entities import Metric, Param

        parent = self._opened()
        tags = {_PARENT: parent.info.run_id} | ({"error": error[:5000]} if error else {})
        child = self._client.create_run(parent.info.experiment_id, run_name=name, tags=tags)
        now = int(1000 * time.time())
        metrics = [Metric(_name(key), value, now, 0) for key, value in figures.items() if value is not None]
        metrics += [
            Metric(f"{_name(self._metric)}_by_epoch", value, now, epoch) for epoch, value in enumerate(curve, 1)
        ]
        params = [Param(key, value) for key, value in flat(parameters).items()]
        self._client.log_batch(child.info.run_id, metrics=metrics, params=params)
        self._client.set_terminated(child.info.run_id, status="FAILED" if error else "FINISHED")

    def _opened(self) -> Any:
        """The parent, made if it is new."""
        if self._parent is None:
            import mlflow

            quiet()
            run = self._run
            uri = tracking_uri(run.config.storage.tracking_uri, run.root, run.tables.in_catalog)
            self._client = mlflow.MlflowClient(tracking_uri=uri)
            experiment = experiment_id(self._client, uri, run.config.dataset)
            found = self._client.search_runs([experiment], f"tags.{_OF_WHAT} = '{self._name}'", max_results=1)
            self._parent = found[0] if found else self._made(experiment)
        return self._parent

    def _made(self, experiment: str) -> Any:
        made = self._client.create_run(experiment, run_name=self._name, tags={_OF_WHAT: self._name})
        self._client.set_terminated(made.info.run_id)
        return made


def _name(figure: str) -> str:
    """A figure's name in the signs that MLflow allows."""
    return figure.replace("@", "_at_")
