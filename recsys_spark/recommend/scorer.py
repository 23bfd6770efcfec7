"""A trained model behind the two questions that scoring asks: these items for these users, and the best of all items."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark.training.artifact import load_artifact

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


class ModelScorer:
    """Scores of one artifact's model. Users and items are indices below `n_users` and `n_items`."""

    def __init__(self, location: str) -> None:
        from recsys_spark.models.scoring import BlockScorer

        artifact = load_artifact(location)
        self.model_version = artifact.model_version
        self.n_users, self.n_items = artifact.n_users, artifact.n_items
        self._model: Any = artifact.model
        self._blocks: Any = BlockScorer(artifact.model)

    def scores(self, user_idx: Ints, item_idx: Ints) -> Floats:
        """(U,), (U, C) -> (U, C)."""
        logits = self._model({"user": user_idx, "items": item_idx}, training=False)
        return np.asarray(logits, dtype=np.float32)

    def all_scores(self, user_idx: Ints) -> Floats:
        """(U,) -> (U, n_items)."""
        return np.asarray(self._blocks.all_scores(user_idx), dtype=np.float32)

    def top_n(self, user_idx: Ints, n: int, exclude: tuple[npt.NDArray[Any], Ints] | None) -> tuple[Ints, Floats]:
        """The n best items of each user, best first, ties to the lower index: (U, n) items and scores, -1 beyond.

        Args:
            exclude: each user's items to leave out, as `(indptr (U+1,), indices)`.
        """
        items, scores = self._blocks.top_n(user_idx, n, exclude)
        return np.asarray(items, dtype=np.int32), np.asarray(scores, dtype=np.float32)


@lru_cache(maxsize=2)
def load_scorer(location: str) -> ModelScorer:
    """The scorer of an artifact, loaded once a Python process; workers of one machine each hold their own."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    if "SPARK_ENV_LOADED" in os.environ or "PYTHON_WORKER_FACTORY_SECRET" in os.environ:
        try:  # a Spark task has the cores that spark.task.cpus says, not the machine's
            cores = int(os.environ.get("CPUS_PER_TASK", "1"))
            tf.config.threading.set_intra_op_parallelism_threads(cores)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # this process has used TensorFlow before; it keeps its threads
    return ModelScorer(location)
