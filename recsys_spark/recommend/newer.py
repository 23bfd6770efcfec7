"""Users and items that came into the index after a model was trained, for models that can score them by their features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_columns
from recsys_spark.errors import UserError
from recsys_spark.feature_settings import Of
from recsys_spark.features.newer import encoded_newer
from recsys_spark.features.sources import IDX
from recsys_spark.interactions.index import next_index
from recsys_spark.runs import Run
from recsys_spark.training.artifact import load_learnt
from recsys_spark.training.growth import Newer, save_grown


@contextmanager
def with_newer(run: Run, location: str) -> Iterator[str]:
    """Where the model lies that scores whom it can: itself, or within the block a copy that knows who came after it.

    The copy has the users and items with an event by the run's date, encoded by what the artifact carries of features. Those
    whom the model cannot score, or whose features do not fit `run.driver_bytes`, stay unknown to it, and a note says how many.
    O(parameters) on the driver, with TensorFlow, where there is anyone to add; else nothing is read but the two indices.

    Raises:
        UserError: what the artifact carries of features is damaged.
    """
    manifest = storage.load_manifest(location)
    newer = {of: rows for of in _OF if (rows := _newer(run, location, manifest, of)) is not None}
    if not newer:
        yield location
        return
    copy = storage.join(run.artifacts, "grown", manifest["model_version"], run.run_id)
    try:
        save_grown(location, copy, newer)
        yield copy
    finally:
        storage.delete_folder(copy)


_OF: tuple[Of, ...] = ("item", "user")


def _newer(run: Run, location: str, manifest: dict[str, Any], of: Of) -> Newer | None:
    first = manifest["model"][f"n_{of}s"]
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    end = next_index(interactions, IDX[of])
    if end <= first:
        return None
    version = manifest["model_version"]
    run.counts[f"newer_{of}s"] = run.counts.get(f"newer_{of}s", 0) + end - first
    many = f"{end - first:,} {of}s are newer than the model {version}"
    if of not in manifest.get("scoring", {}).get("from_content", ()):
        run.notes.append(f"{many}, which cannot score them")
        return None
    known = load_learnt(location, manifest)
    if known is None:
        run.notes.append(
            f"{many}, which does not carry what it knows of features: run jobs/train.py to have them scored"
        )
        return None
    try:
        found = _collected(run, encoded_newer(run, of, manifest["fit"], known, first, end), of, first, end)
    except UserError as error:
        run.notes.append(f"{many}, and are not scored by their features: {error}")
        return None
    run.notes.append(f"{many}: they are scored by their features")
    return found


def _collected(run: Run, encoded: DataFrame, of: Of, first: int, end: int) -> Newer:
    """The rows by index, through the bounded door, a number a column."""
    some = encoded.select(F.size(c.CODES).alias(c.CODES), F.size(c.NUMBERS).alias(c.NUMBERS)).head()
    widths = {name: int(some[name]) if some else 0 for name in (c.CODES, c.NUMBERS)}
    places = {name: [f"{name}_{place}" for place in range(width)] for name, width in widths.items()}
    columns = [F.col(name)[place].alias(at) for name, ats in places.items() for place, at in enumerate(ats)]
    flat = encoded.select(IDX[of], *columns).persist()
    try:
        names = [IDX[of], *places[c.CODES], *places[c.NUMBERS]]
        came = collect_columns(flat, names, f"features of newer {of}s", run.config.run.driver_bytes)
    finally:
        flat.unpersist()
    rows = came[IDX[of]] - first
    codes = np.zeros((end - first, widths[c.CODES]), dtype=np.int32)
    numbers = np.full((end - first, widths[c.NUMBERS]), np.nan, dtype=np.float32)
    for table, name in ((codes, c.CODES), (numbers, c.NUMBERS)):
        for place, at in enumerate(places[name]):
            table[rows, place] = came[at]
    return Newer(codes, numbers)
