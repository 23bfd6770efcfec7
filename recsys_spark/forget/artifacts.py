"""People out of trained models: their rows of every kept artifact, also of MLflow's copies; unfinished folders are deleted.

What a model learnt of others from a person's events is not a row of theirs, and stays until it is trained anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.runs import Run
from recsys_spark.schemas import MODELS, RUNS
from recsys_spark.training.tracking import artifact_locations, tracking_uri

# A user table, or an optimizer's slot of one, as `checkpoint` names arrays; a test holds it to every model. What lies below
# `beside_...` is called after declared features, which may have any name.
_TABLES: Final = "users|user_bias|user_gmf|user_mlp|user_side/(codes|numbers)"
_OF_USERS: Final = re.compile(rf"^(?!.*beside_)(.*[ /])?({_TABLES})(_\w+)?(:\d+)?$")
_NUMBERS: Final = re.compile(r"user_side/numbers(:\d+)?$")
_BESIDE_SERVERS: Final = ("http", "https", "mlflow-artifacts", "runs", "dbfs")  # no file system that storage.py knows


@dataclass(frozen=True)
class Places:
    """Folders of models that have rows of users, folders to delete whole, and what cannot be reached."""

    models: tuple[str, ...]
    leftovers: tuple[str, ...]
    not_reached: tuple[str, ...]


def is_of_users(name: str) -> bool:
    """Whether an array of a saved model or optimizer has a row a user."""
    return bool(_OF_USERS.search(name))


def places(run: Run) -> Places:
    """Where the root's models lie: below the artifacts, where `models` says, and in MLflow.

    Checkpoints and whatever a killed run left are leftovers: the versions that a training would go on with are gone.
    """
    models, unfinished = storage.folders_below(run.artifacts)
    known = collect_rows(run.tables.read_or_empty(MODELS).select("path"), "the models", run.config.run.driver_bytes)
    listed = [row["path"] for row in known if storage.has_folder(row["path"])]
    tracked, not_reached = _tracked(run)
    copies = [place for folder in tracked for place in storage.folders_below(folder)[0]]
    # without a setting the store is this root's own, with copies of killed trainings that left no row, too
    if run.config.storage.tracking_uri:
        copies = _ours(run, copies)
    every = list(dict.fromkeys([*models, *listed, *copies]))
    whole = [place for place in every if "model" in storage.load_manifest(place)]
    return Places(tuple(whole), (*unfinished, *(one for one in models if one not in whole)), tuple(not_reached))


def blank(found: Places, rows: npt.NDArray[Any]) -> dict[str, int]:
    """Blank people's rows in every model, delete leftovers; the rows that were not blank, by folder. O(rows x arrays).

    Zeros are what a model has of a user it never met; of numbers, which are features, a missing one is NaN.
    """
    for leftover in found.leftovers:
        storage.delete_folder(leftover)
    return {
        place: sum(
            storage.blank_rows(place, name, rows, np.nan if _NUMBERS.search(name) else 0.0) for name in _arrays(place)
        )
        for place in found.models
    }


def still_there(found: Places, rows: npt.NDArray[Any], until: npt.NDArray[Any]) -> Iterator[str]:
    """The folders that still hold something of people: of each a row, and the version of `users` from which on it is nobody's.

    A model trained on that version or a later one has such a row too, with what it was drawn as.
    """
    yield from found.leftovers
    for place in found.models:
        arrays = storage.load_arrays(place)
        trained_on = storage.load_manifest(place).get("versions", {}).get("users", -1)
        theirs = rows[until > trained_on]
        own = [arrays[name] for name in _arrays(place)]
        if not all(storage.is_blank(np.asarray(array[theirs[theirs < len(array)]])).all() for array in own):
            yield place


def _arrays(place: str) -> list[str]:
    return [name for name in storage.load_manifest(place)["arrays"].values() if is_of_users(name)]


def _ours(run: Run, copies: list[str]) -> list[str]:
    """Of the models in a store, which several roots may share, those that were trained below this one."""
    if not copies:
        return []
    trained = run.tables.read_or_empty(RUNS).where("stage = 'train'").select(c.RUN_ID)
    known = {row[0] for row in collect_rows(trained, "the runs of jobs/train.py", run.config.run.driver_bytes)}
    return [place for place in copies if storage.load_manifest(place).get("run_id") in known]


def _tracked(run: Run) -> tuple[list[str], list[str]]:
    """Folders of MLflow's artifacts that hold copies of models, and those that no file system leads to."""
    try:
        uri = tracking_uri(run.config.storage.tracking_uri, run.root, run.tables.in_catalog)
    except UserError:  # nothing could ever be tracked
        return [], []
    found = artifact_locations(uri, run.config.dataset)
    beyond = [place for place in found if urlsplit(place).scheme in _BESIDE_SERVERS]
    return [place for place in found if place not in beyond], beyond
