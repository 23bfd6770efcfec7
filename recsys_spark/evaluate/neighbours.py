"""Baselines that score by a user's own items: ItemKNN, EASE and ALS, from item-sized data that Spark has summed up.

Numpy alone, as scorers; `baselines.py` makes what they hold. ItemKNN and EASE are own code because the libraries that have
them take the matrix of all users and items into one process: Spark sums the items' co-occurrences instead, and what is left of
either is a few lines. A user is what it took: the latest items that
`features.sequence_length` keeps, each once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys_spark.evaluate.scorers import Float32s, Int32s
from recsys_spark.models.users import Users
from recsys_spark.ragged import NO_ITEM
from recsys_spark.ranking import Floats


class _ByHistory:
    """What knows everyone with a history."""

    predicts_ratings = False

    def __init__(self, n_items: int, history: int) -> None:
        self.n_items, self.history = n_items, history

    def knows(self, users: Users) -> npt.NDArray[np.bool_]:
        """Users with an item."""
        known: npt.NDArray[np.bool_] = (users.history != NO_ITEM).any(axis=1)
        return known

    def all_scores(self, users: Users) -> Float32s:
        """(U, n_items)."""
        raise NotImplementedError

    def scores(self, users: Users, item_idx: Int32s) -> Float32s:
        """Each user's own items, out of all: (U, C)."""
        return np.take_along_axis(self.all_scores(users), item_idx, axis=1)


class OwnFrequency(_ByHistory):
    """score(u, i) = how often the user took i, equals by how many users did: what a shop's regulars are hard to beat by.

    Hu et al. (2020), "Modeling personalized item frequency information for next-basket recommendation", show that it is.
    O(history + n_items) a user.
    """

    def __init__(self, users_of_item: npt.NDArray[np.float64], history: int) -> None:
        super().__init__(len(users_of_item), history)
        self._below_one = (users_of_item / (users_of_item.max(initial=0.0) + 1.0)).astype(np.float32)

    def all_scores(self, users: Users) -> Float32s:
        """(U, n_items)."""
        scores = np.tile(self._below_one, (len(users), 1))
        rows, places = np.nonzero((users.history != NO_ITEM) & (users.history < self.n_items))
        np.add.at(scores, (rows, users.history[rows, places]), 1.0)
        return scores


class ItemToItem(_ByHistory):
    """score(u, i) = sum over the user's items j of `weights[j, i]`: (n_items, n_items). O(history x n_items) a user."""

    def __init__(self, weights: Float32s, history: int) -> None:
        super().__init__(len(weights), history)
        self._weights = weights

    def all_scores(self, users: Users) -> Float32s:
        """(U, n_items)."""
        scores = np.empty((len(users), self.n_items), np.float32)
        for row, items in enumerate(users.history):
            scores[row] = self._weights[np.unique(items[items != NO_ITEM])].sum(axis=0)
        return scores


class FoldedIn(_ByHistory):
    """ALS for implicit feedback with the users' factors solved for from their items, as its own last half-step does.

        p_u = (Y'Y + alpha sum of y_j y_j' + lambda n_u I)^-1 (1 + alpha) sum of y_j,   score(u, i) = p_u . y_i

    over the n_u items j of the user. O(history rank^2 + rank^3 + n_items rank) a user.

    Source: Hu, Koren and Volinsky (2008), "Collaborative Filtering for Implicit Feedback Datasets"; lambda grows with n_u as
    in Spark MLlib's ALS.
    """

    def __init__(self, factors: Float32s, alpha: float, regularisation: float, history: int) -> None:
        super().__init__(len(factors), history)
        self._factors, self._alpha, self._regularisation = factors, alpha, regularisation
        self._gram = factors.T.astype(np.float64) @ factors

    def all_scores(self, users: Users) -> Float32s:
        """(U, n_items)."""
        return self.user_factors(users) @ self._factors.T

    def user_factors(self, users: Users) -> Float32s:
        """(U, rank)."""
        found = np.zeros((len(users), self._factors.shape[1]), np.float32)
        for row, items in enumerate(users.history):
            own = self._factors[np.unique(items[items != NO_ITEM])].astype(np.float64)
            ridge = self._regularisation * len(own) * np.eye(len(self._gram))
            found[row] = np.linalg.solve(
                self._gram + self._alpha * own.T @ own + ridge, (1.0 + self._alpha) * own.sum(axis=0)
            )
        return found


def cosine_neighbours(gram: Floats, neighbours: int, shrinkage: float) -> Float32s:
    """ItemKNN's weights from co-occurrences (n, n): cosines, shrunk, of each item's nearest `neighbours`, 0 elsewhere.

    w_ji = n_ji / (sqrt(n_j n_i) + shrinkage), of the items j nearest to i. O(n^2).

    Source: Sarwar, Karypis, Konstan and Riedl (2001), "Item-based Collaborative Filtering Recommendation Algorithms".
    """
    counts = np.sqrt(np.diag(gram))
    likeness: Float32s = (gram / np.maximum(np.outer(counts, counts) + shrinkage, 1e-12)).astype(np.float32)
    np.fill_diagonal(likeness, 0.0)
    if neighbours < len(likeness):
        bound = np.partition(likeness, -neighbours, axis=0)[-neighbours]
        likeness[likeness < bound] = 0.0
    return likeness


def ease(gram: Floats, regularisation: float) -> Float32s:
    """EASE's weights from co-occurrences (n, n): B = I - P / diag(P), P = (G + lambda I)^-1, with a zero diagonal. O(n^3).

    Source: Steck (2019), "Embarrassingly Shallow Autoencoders for Sparse Data", equation 8.
    """
    inverse = np.linalg.inv(gram + regularisation * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    as_floats: Float32s = weights.astype(np.float32)
    return as_floats
