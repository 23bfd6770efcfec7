"""Keras models and their arithmetic: no Spark, no Horovod. TensorFlow is imported when a name that needs it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys_spark.models.losses import binary_cross_entropy
    from recsys_spark.models.neumf import NeuMF
    from recsys_spark.models.scoring import BlockScorer

__all__ = ["BlockScorer", "NeuMF", "binary_cross_entropy", "build_model"]

_HOMES = {"BlockScorer": "scoring", "NeuMF": "neumf", "binary_cross_entropy": "losses"}
_NEUMF_SETTINGS = ("gmf_width", "mlp_width", "mlp_layers", "dropout", "l2", "seed", "dtype")


def build_model(name: str, settings: Mapping[str, Any], n_users: int, n_items: int) -> Any:
    """A model with its weights drawn, by its name in the configuration: `neumf`, or one of its halves `gmf` and `mlp`.

    Args:
        settings: arguments of `NeuMF`; settings of its training, such as `pretrain`, are passed over.
        n_users: rows of the user tables: indices run from 0 to one below.
        n_items: rows of the item tables, likewise.

    Raises:
        ValueError: an unknown name.
    """
    if name not in ("neumf", "gmf", "mlp"):
        raise ValueError(f"model.name is {name!r}, expected neumf, gmf or mlp")
    from recsys_spark.models.neumf import NeuMF

    chosen = {key: settings[key] for key in _NEUMF_SETTINGS if key in settings}
    model = NeuMF(n_users, n_items, mode=name, **chosen)
    model.build()
    return model


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"recsys_spark.models.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'recsys_spark.models' has no attribute {name!r}")
