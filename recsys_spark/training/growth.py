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
from recsys_spark.training.artifact import CHECKSUM
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
    # a copy lives for one job and grows no further, so that it carries no knowledge of features
    kept = {key: value for key, value in manifest.items() if key not in ("arrays", CHECKSUM)}
    storage.save_folder(target, {**kept, "model": spec, "grown_from": location}, arrays)


def go_on_from(model: Any, saved: Mapping[str, npt.NDArray[Any]]) -> None:
    """Give a new model the weights of an earlier one of the same settings; users and items that came since keep those they
    were made with. What is known of their features is not taken over, since it is of the new date. O(parameters).

    Raises:
        ValueError: there are more or fewer weights, or one of another width.
    """
    arrays = [array for name, array in saved.items() if name != CATALOGUE]
    sides = [side for side in (model.user_side, model.item_side) if side is not None]
    facts = {id(table) for side in sides for table in (side.codes, side.numbers)}
    for variable, array in zip(model.weights, arrays, strict=True):
        if id(variable) in facts:
            continue
        rows = np.array(variable)
        if rows.shape[1:] != array.shape[1:] or rows.shape[:1] < array.shape[:1]:
            raise ValueError(f"{variable.path} is {rows.shape}, that of the earlier model {array.shape}")
        if rows.ndim:
            rows[: len(array)] = array
        variable.assign(rows if rows.ndim else array)


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
