"""A trained model behind the questions that scoring asks. Numpy alone: a Spark worker need not start TensorFlow."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark.models.scoring import BlockScorer
from recsys_spark.storage import load_arrays, load_manifest

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


class ModelScorer:
    """Scores of one artifact's model, as logits. Users and items are indices below `n_users` and `n_items`.

    The tables are mapped into memory where the artifact lies on a local disk or volume, so that the workers of one
    machine share one copy and only the users' rows that are scored are read.
    """

    predicts_ratings = False

    def __init__(self, location: str) -> None:
        manifest = load_manifest(location)
        self.model_version = str(manifest["model_version"])
        self.n_users, self.n_items = (int(manifest["model"][size]) for size in ("n_users", "n_items"))
        self._scorer = BlockScorer({name.rpartition("/")[2]: array for name, array in load_arrays(location).items()})

    def scores(self, user_idx: Ints, item_idx: Ints) -> Floats:
        """Users (U,) and for each of them items (U, C) -> (U, C)."""
        return self._scorer.scores(user_idx, item_idx)

    def all_scores(self, user_idx: Ints) -> Floats:
        """Users (U,) -> the whole catalogue (U, n_items)."""
        return self._scorer.all_scores(user_idx)

    def top_n(self, user_idx: Ints, n: int, exclude: tuple[npt.NDArray[Any], Ints] | None) -> tuple[Ints, Floats]:
        """The n best items of each user, best first, ties to the lower index: (U, n) items and scores, -1 beyond.

        Args:
            exclude: each user's items to leave out, as `(indptr (U+1,), indices)`.
        """
        return self._scorer.top_n(user_idx, n, exclude)


@lru_cache(maxsize=2)
def load_scorer(location: str) -> ModelScorer:
    """The scorer of an artifact, loaded once a Python process."""
    return ModelScorer(location)
