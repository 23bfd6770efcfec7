"""Keras models and their arithmetic: no Spark, no Horovod. TensorFlow is imported when a name that needs it is used.

`build_model` makes a model by its name in the configuration. A new model is a file here, a section in
`model_settings.py` and `conf/default.yaml`, and a line in `_MODELS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys_spark.models.contract import Recommender
    from recsys_spark.models.losses import binary_cross_entropy
    from recsys_spark.models.neumf import NeuMF
    from recsys_spark.models.scoring import BlockScorer

__all__ = ["BlockScorer", "NeuMF", "Recommender", "binary_cross_entropy", "build_model"]

_HOMES = {
    "BlockScorer": "scoring",
    "NeuMF": "neumf",
    "Recommender": "contract",
    "binary_cross_entropy": "losses",
}
_MODELS = {
    "neumf": ("neumf", "NeuMF"),
    "gmf": ("neumf", "NeuMF"),
    "mlp": ("neumf", "NeuMF"),
    "matrix_factorization": ("matrix_factorization", "MatrixFactorization"),
    "sasrec": ("sasrec", "SASRec"),
    "gru4rec": ("gru4rec", "GRU4Rec"),
    "embedding_mlp": ("embedding_mlp", "EmbeddingMLP"),
    "softmax_dnn": ("softmax_dnn", "SoftmaxDNN"),
    "two_tower": ("two_tower", "TwoTower"),
    "din": ("din", "DIN"),
    "multitask": ("multitask", "MultiTask"),
}


def build_model(name: str, settings: Mapping[str, Any], n_users: int, n_items: int) -> Any:
    """A model with its weights drawn, by its name in the configuration.

    Args:
        settings: arguments of its constructor.
        n_users: rows of the user tables: indices run from 0 to one below.
        n_items: rows of the item tables, likewise.

    Raises:
        ValueError: an unknown name, or settings that do not hold.
    """
    if name not in _MODELS:
        raise ValueError(f"model.name is {name!r}, expected one of {', '.join(_MODELS)}")
    module, kind = _MODELS[name]
    mode = {"mode": name} if kind == "NeuMF" else {}
    model = getattr(importlib.import_module(f"recsys_spark.models.{module}"), kind)(
        n_users, n_items, **mode, **settings
    )
    model.build()
    return model


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"recsys_spark.models.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'recsys_spark.models' has no attribute {name!r}")
