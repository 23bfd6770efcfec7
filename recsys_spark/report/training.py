"""What a training left in its artifact: figures by epoch, and arrays with their sizes. No Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any, Final

from recsys_spark import storage
from recsys_spark.explore.entries import Entry, entries

LOSS: Final = "loss"
LOSSES: Final = "losses"  # the picture; series: train, validation
METRICS: Final = "metrics"  # a series a metric
SUMMARY: Final = "summary"
LAYERS: Final = "layers"
FOLDING: Final = "folding"


def by_epoch(manifest: Mapping[str, Any]) -> list[Entry]:
    """Losses and metrics of each epoch of the last phase, labelled by its number."""
    history = manifest["history"]
    train = {str(epoch["number"]): {LOSS: epoch[LOSS]} for epoch in history}
    names = list(dict.fromkeys(name for epoch in history for name in epoch["validation"]))
    of_validation = {
        name: {str(epoch["number"]): {name: epoch["validation"].get(name)} for epoch in history} for name in names
    }
    losses = entries(LOSSES, "validation", of_validation.pop(LOSS)) if LOSS in of_validation else []
    metrics = [entry for name, rows in of_validation.items() for entry in entries(METRICS, name, rows)]
    return [*entries(LOSSES, "train", train), *losses, *metrics]


def summary(manifest: Mapping[str, Any], location: str) -> list[Entry]:
    """Parameters, epochs and seconds of a training, and each array of its artifact with the numbers that it holds."""
    whole = {
        name: {name: manifest.get(name)}
        for name in ("parameters", "best_epoch", "training_seconds")
        if name in manifest
    }
    arrays = storage.load_arrays(location)
    layers = {name: {"numbers": float(prod(array.shape))} for name, array in arrays.items()}
    return [*entries(SUMMARY, "", whole), *entries(LAYERS, "", layers), *_folding(manifest)]


def shapes(location: str) -> dict[str, str]:
    """The shape of each array, as `1,000 x 32`."""
    return {
        name: " x ".join(f"{size:,}" for size in array.shape) or "1"
        for name, array in storage.load_arrays(location).items()
    }


def settings(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the model was built with, in words; lists of declared features by their names alone."""
    return {name: _words(value) for name, value in manifest["model"]["settings"].items()}


def _folding(manifest: Mapping[str, Any]) -> list[Entry]:
    folded = manifest.get(FOLDING)
    return entries(FOLDING, "", {FOLDING: {FOLDING: folded}}) if folded is not None else []


def _words(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(str(one.get("name", one)) for one in value)
    return value if isinstance(value, str) else json.dumps(value)
