"""A live model of five items whose scores can be told by hand, and histories to go with it."""

from __future__ import annotations

import json

import numpy as np

from recsys_spark.storage import save_folder

HOUR = {
    "feature": {"name": "hour", "of": "context", "kind": "categorical", "source": "hour", "max_size": 9, "min_count": 1},
    "first": 0, "length": 1, "size": 4, "mean": None, "std": None, "vocabulary": {"9": 2, "18": 3},
}  # fmt: skip
RECENCY = {
    "feature": {"name": "ago", "of": "context", "kind": "dense", "source": "recency_days", "log": False},
    "first": 0, "length": 1, "size": None, "mean": 1.0, "std": 2.0, "vocabulary": None,
}  # fmt: skip
SPECS = [
    {"name": "hour", "of": "context", "kind": "categorical", "first": 0, "length": 1, "size": 4},
    {"name": "ago", "of": "context", "kind": "dense", "first": 0, "length": 1, "size": None},
]
# the bag of a history leads to itself, its next neighbours on the circle, and with the hour 18 to the opposite ones
VECTORS = np.array([[np.cos(turn), np.sin(turn)] for turn in 2.0 * np.pi * np.arange(5) / 5], np.float32)
HISTORIES = {
    "ann": json.dumps({"items": [1, 0], "days": [19722, 19723], "seen": [0, 1, 4], "rules": 1, "blocked": [2]}),
    "bob": json.dumps({"items": [9], "days": [19723], "seen": [9]}),  # newer than the model
}


def save_live(
    folder: str,
    n_items: int = 5,
    exclude_seen: bool = False,
    in_context: bool = False,
    barred: tuple[int, ...] = (),
    version: str = "softmax_dnn-of-tests",
) -> None:
    """The query is the mean vector of the history, or with the hour 18 of the day the opposite of it."""
    context = [HOUR, RECENCY] if in_context else []
    settings = {"length": 3, "width": 2, "context_side": SPECS if in_context else []}
    arrays = {"inputs": VECTORS[:n_items], "catalogue": VECTORS[:n_items]}
    # a tower of one layer: the bag as it is, beside it what the context adds
    kernel = np.concatenate([np.eye(2), np.eye(2)]) if in_context else np.eye(2)
    arrays |= {"query_kernel_0": kernel.astype(np.float32), "query_bias_0": np.zeros(2, np.float32)}
    if in_context:
        away = np.zeros((4, 2), np.float32)
        away[3] = -20.0 * VECTORS[0]
        arrays |= {"beside_context/hour": away, "beside_context/ago": np.zeros((2, 2), np.float32)}
    bits, rules = np.zeros(n_items, np.uint8), np.zeros(n_items, np.int64)
    bits[list(barred)] = 2
    rules[3] = 1 if n_items > 3 else 0
    manifest = {
        "model_version": version, "as_of_date": "2024-01-03", "fit": "production",
        "model": {"name": "softmax_dnn", "settings": settings, "n_users": 3, "n_items": n_items},
        "scoring": {"by": "query", "history": 3}, "context": context, "given": {}, "exclude_seen": exclude_seen,
        "rules_of_unknown": 0,
    }  # fmt: skip
    save_folder(folder, manifest, {**arrays, "barred": bits, "rules": rules})
