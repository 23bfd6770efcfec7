"""A trained model as a folder: weights, how to build it, what it was trained on, how good it was. Loads without Spark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.settings import Config

FORMAT: Final = 1
LEARNT: Final = "learnt.json"
CHECKSUM: Final = "learnt"  # in the manifest, SHA-256; artifacts of releases before they carried the file have none
_MEANING: Final = ("dataset", "ingest", "interactions", "split", "features", "examples", "model", "training")


@dataclass(frozen=True)
class Artifact:
    """A model as it was saved. `model` is a Keras model with its weights; the manifest is what the folder says of it."""

    location: str
    manifest: Mapping[str, Any]
    model: Any

    @property
    def model_version(self) -> str:
        return str(self.manifest["model_version"])

    @property
    def n_users(self) -> int:
        """Users the model knows: indices from here on are unknown to it."""
        return int(self.manifest["model"]["n_users"])

    @property
    def n_items(self) -> int:
        return int(self.manifest["model"]["n_items"])


def model_version(name: str, as_of: date, fit: str, digest: str) -> str:
    """The same date, model and configuration have the same version: `neumf-20171231-production-0a1b2c3d4e5f`."""
    return f"{name}-{as_of:%Y%m%d}-{fit}-{digest}"


def meaning_of(config: Config) -> str:
    """The digest of all settings that a model hangs on: the last part of its version."""
    return config.digest(*_MEANING)


def save_artifact(
    location: str, manifest: Mapping[str, Any], weights_from: str, learnt: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write an artifact whose weights are those of a checkpoint's folder.

    Args:
        learnt: what encodes the features of users and items that the model takes, see `features.knowledge`.
    """
    content = json.dumps(list(learnt)).encode()
    whole = {"format": FORMAT, **manifest, CHECKSUM: hashlib.sha256(content).hexdigest()}
    storage.save_folder(location, whole, storage.load_arrays(weights_from), {LEARNT: content})


def load_learnt(location: str, manifest: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """What an artifact carries of the features of users and items; None of one from before artifacts carried it.

    Raises:
        UserError: the file is gone, or is not as it was written.
    """
    if CHECKSUM not in manifest:
        return None
    content = storage.read_file(storage.join(location, LEARNT))
    if content is None or hashlib.sha256(content).hexdigest() != manifest[CHECKSUM]:
        raise UserError(
            f"{storage.join(location, LEARNT)} is {'missing' if content is None else 'damaged'}, by which the model encodes "
            "newer users and items: put back a copy of the file as it was written, or run jobs/train.py again"
        )
    known: list[dict[str, Any]] = json.loads(content)
    return known


def hold_against(
    manifest: Mapping[str, Any], window: int, n_users: int, n_items: int, index: Mapping[str, str] | None = None
) -> None:
    """Refuse an artifact that is not of these settings and this index; users and items newer than it are no matter.

    Args:
        window: `examples.window`.
        n_users: in the index.
        n_items: likewise.
        index: what tells the tables of the index from others, see `index_ids`; None: it is not known.

    Raises:
        UserError: the model reads histories of another length, knows users or items that the index does not, or was trained on
            another index.
    """
    version, model = manifest["model_version"], manifest["model"]
    reads = manifest.get("scoring", {}).get("history", 0)
    if reads and reads != window:
        raise UserError(
            f"model {version} reads the latest {reads} items of a user, examples.window is {window}: set "
            f"examples.window={reads}, or run jobs/examples.py and jobs/train.py for the other length"
        )
    for what, knows, there in (("users", model["n_users"], n_users), ("items", model["n_items"], n_items)):
        if knows > there:
            raise UserError(
                f"model {version} knows {knows:,} {what}, table `{what}` has {there:,}: it was trained on another index; run "
                "jobs/features.py, jobs/examples.py and jobs/train.py again"
            )
    for what, its in manifest.get("index", {}).items():
        if index is not None and its != index[what]:
            raise UserError(
                f"table `{what}` was made anew since model {version} was trained, so that numbers mean others now: it was "
                "trained on another index; run jobs/features.py, jobs/examples.py and jobs/train.py again"
            )


def load_artifact(location: str) -> Artifact:
    """The model with its weights; needs Keras and TensorFlow, but neither Spark nor Horovod.

    Raises:
        UserError: nothing whole is there, or it was written by a later version of the package.
    """
    from recsys_spark.models import build_model
    from recsys_spark.training.checkpoint import set_weights

    manifest = storage.load_manifest(location)
    if manifest["format"] > FORMAT:
        raise UserError(
            f"artifact {location} has format {manifest['format']}, this version reads up to {FORMAT}: upgrade recsys-spark"
        )
    spec = manifest["model"]
    model = build_model(spec["name"], spec["settings"], spec["n_users"], spec["n_items"])
    set_weights(model.weights, storage.load_arrays(location))
    return Artifact(location, manifest, model)
