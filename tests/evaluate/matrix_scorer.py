"""A model that is a matrix of scores in an artifact's folder: `Scorer` as a worker would load it."""

from __future__ import annotations

import numpy as np

from recsys_spark import storage


class MatrixScorer:
    predicts_ratings = False

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix = matrix
        self.n_users, self.n_items = matrix.shape

    def scores(self, user_idx: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
        return self._matrix[user_idx[:, None], item_idx]

    def all_scores(self, user_idx: np.ndarray) -> np.ndarray:
        return self._matrix[user_idx]


def save(path: str, matrix: list[list[float]]) -> None:
    storage.save_folder(path, {}, {"scores": np.array(matrix, np.float32)})


def load(path: str) -> MatrixScorer:
    return MatrixScorer(storage.load_arrays(path)["scores"])
