"""A model that is a matrix of scores in an artifact's folder: `Scorer` as a worker would load it."""

from __future__ import annotations

import numpy as np

from recsys_spark import storage
from recsys_spark.models.users import Users


class MatrixScorer:
    predicts_ratings = False

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix = matrix
        self.n_users, self.n_items = matrix.shape
        self.history = 0

    def knows(self, users: Users) -> np.ndarray:
        return users.idx < self.n_users

    def scores(self, users: Users, item_idx: np.ndarray) -> np.ndarray:
        return self._matrix[users.idx[:, None], item_idx]

    def all_scores(self, users: Users) -> np.ndarray:
        return self._matrix[users.idx]


def save(path: str, matrix: list[list[float]]) -> None:
    scores = np.array(matrix, np.float32)
    n_users, n_items = scores.shape
    manifest = {"model_version": path, "model": {"n_users": n_users, "n_items": n_items}}
    storage.save_folder(path, manifest, {"scores": scores})


def load(path: str) -> MatrixScorer:
    return MatrixScorer(storage.load_arrays(path)["scores"])
