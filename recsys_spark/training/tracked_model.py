"""What MLflow is told of a model beside its figures: the tables that it was trained on, and how to ask it for lists."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from recsys_spark import columns as c

MODEL: Final = "model"  # the folder of a run's artifacts: an MLflow model, the artifact within it
DEFAULT_N: Final = 10
_LOADER: Final = "recsys_spark.recommend.pyfunc"  # by name: what it reads comes after training in the flow
_ARTIFACT: Final = "artifact"
_HELD_OUT: Final = "eval_examples"

Inputs = Mapping[str, tuple[str, int]]  # by table: where it lies, and the version that was read


def log_inputs(inputs: Inputs) -> None:
    """Enter Delta tables with their versions as datasets of the active MLflow run."""
    import mlflow
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    for name, (place, version) in sorted(inputs.items()):
        source = DeltaDatasetSource(path=place, delta_table_version=version)
        context = "validation" if name == _HELD_OUT else "training"
        tags = {"delta_table_version": str(version)}  # MLflow leaves version 0 out of the source
        mlflow.log_input(MetaDataset(source, name=name), context=context, tags=tags)


def log_model(artifact: Path, root: str, exclude_seen: bool) -> None:
    """The artifact as a pyfunc of the active MLflow run: user ids in, lists out, see `recommend.pyfunc`.

    It lies among the run's own artifacts, and once, so that who is forgotten is taken out of it too.

    Args:
        artifact: its folder on this machine.
        root: the root that it was trained on, whose tables tell ids and histories; whoever loads it may name another.
    """
    import mlflow

    with tempfile.TemporaryDirectory(prefix="recsys-model-") as folder:
        empty = Path(folder) / _ARTIFACT  # MLflow copies what it is given: the artifact goes to its place at once
        empty.mkdir()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*[Ii]nput example")  # lists need the root's tables
            mlflow.pyfunc.save_model(
                str(Path(folder) / MODEL),
                loader_module=_LOADER,
                data_path=str(empty),
                signature=signature(),
                model_config={"root": root, "exclude_seen": exclude_seen},
                pip_requirements=["recsys-spark[cpu]"],
            )
        mlflow.log_artifacts(str(Path(folder) / MODEL), artifact_path=MODEL)
        mlflow.log_artifacts(str(artifact), artifact_path=f"{MODEL}/data/{_ARTIFACT}")


def signature() -> Any:
    """A batch of users in, a list each out; `n` is how long lists are."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema

    lists = {c.ITEMS: DataType.string, "scores": DataType.double, "reasons": DataType.string}
    return ModelSignature(
        inputs=Schema([ColSpec("string", c.USER_ID)]),
        outputs=Schema([ColSpec("string", c.USER_ID), *[ColSpec(Array(kind), name) for name, kind in lists.items()]]),
        params=ParamSchema([ParamSpec("n", "integer", DEFAULT_N)]),
    )
