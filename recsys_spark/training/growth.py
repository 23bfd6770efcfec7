"""A saved model made as large as the index has grown: users and items newer than it, known by their declared features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark import storage
from recsys_spark.feature_settings import Of
from recsys_spark.models import build_model
from recsys_spark.training.checkpoint import CATALOGUE


@dataclass(frozen=True)
class Newer:
    """Users, or items, from the first index that a model does not know on: `codes` (m, S) and `numbers` (m, D) of each,
    encoded as what the model was trained on."""

    codes: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.codes)


def save_grown(location: str, target: str, newer: Mapping[Of, Newer]) -> None:
    """Save a copy of an artifact that has rows for users and items newer than it: their features, and zeros as weights.

    That is right for models to which zeros say "never met", see `Recommender.from_content`. O(parameters), in memory twice.

    Args:
        newer: by `user` and `item`; what is not there does not grow.

    Raises:
        ValueError: features of another shape than the model's, or codes outside its vocabularies.
    """
    manifest = storage.load_manifest(location)
    saved = storage.load_arrays(location)
    names = [name for name in saved if name != CATALOGUE]
    spec = dict(manifest["model"])
    for of, rows in newer.items():
        spec[f"n_{of}s"] += len(rows)
    model = build_model(spec["name"], spec["settings"], spec["n_users"], spec["n_items"])
    for variable, name in zip(model.weights, names, strict=True):
        variable.assign(_with_zeros(saved[name], tuple(variable.shape)))
    for of, rows in newer.items():
        _fill(getattr(model, f"{of}_side"), rows)
    arrays = {name: np.asarray(variable) for name, variable in zip(names, model.weights, strict=True)}
    if CATALOGUE in saved:
        arrays[CATALOGUE] = np.asarray(model.catalogue())
    kept = {key: value for key, value in manifest.items() if key != "arrays"}
    storage.save_folder(target, {**kept, "model": spec, "grown_from": location}, arrays)


def _with_zeros(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    grown = np.zeros(shape, dtype=array.dtype)
    grown[: len(array)] = array
    return grown


def _fill(side: Any, newer: Newer) -> None:
    """Put the features of the newer ones into the last rows."""
    tables = []
    for table, rows in ((side.codes, newer.codes), (side.numbers, newer.numbers)):
        filled = np.array(table)
        if rows.shape[1]:
            filled[-len(rows) :] = rows
        tables.append(filled)
    side.fill(*tables)
