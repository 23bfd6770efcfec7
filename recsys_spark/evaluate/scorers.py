"""What is evaluated: a contract for models, and the two baselines that always stand beside them.

Numpy alone: neither Spark nor TensorFlow.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from recsys_spark.hashing import hash_of, uniform
from recsys_spark.models.users import Users

Int32s = npt.NDArray[np.int32]
Float32s = npt.NDArray[np.float32]


class Scorer(Protocol):
    """Scores users x items: higher is better, comparable within one user's list; for models a logit.

    Where `predicts_ratings`, a score is the predicted value of an event of the pair, in the events' own unit.
    """

    @property
    def predicts_ratings(self) -> bool:
        """Whether its scores are predicted values."""

    @property
    def history(self) -> int:
        """Items of a user's history that it reads; 0: none."""

    @property
    def n_items(self) -> int:
        """Items it knows: `item_idx` below this."""

    def knows(self, users: Users) -> npt.NDArray[np.bool_]:
        """Which users it can score, (U,)."""

    def scores(self, users: Users, item_idx: Int32s) -> Float32s:
        """Users (U,) and for each of them items (U, C) -> (U, C)."""

    def all_scores(self, users: Users) -> Float32s:
        """Users (U,) -> the whole catalogue (U, n_items)."""


class _ForEveryone:
    """A baseline that looks at no history and knows every user."""

    history = 0
    predicts_ratings = False

    def knows(self, users: Users) -> npt.NDArray[np.bool_]:
        """All of them."""
        return np.ones(len(users), dtype=bool)


class Popularity(_ForEveryone):
    """Scores an item by how many users took it in train: the same for every user, known or not."""

    def __init__(self, users_of_item: npt.NDArray[np.float64]) -> None:
        self._counts = users_of_item.astype(np.float32)
        self.n_items = len(users_of_item)

    def scores(self, users: Users, item_idx: Int32s) -> Float32s:
        """O(U C)."""
        return self._counts[item_idx]

    def all_scores(self, users: Users) -> Float32s:
        """O(U n_items)."""
        return np.tile(self._counts, (len(users), 1))


class Random(_ForEveryone):
    """Scores a pair by a hash of (seed, user, item): chance, and the same chance every time.

    The few pairs that float32 makes equal take their expected value, as all ties do.
    """

    def __init__(self, seed: int, n_items: int) -> None:
        self._seed, self.n_items = seed, n_items

    def scores(self, users: Users, item_idx: Int32s) -> Float32s:
        """O(U C)."""
        return uniform(hash_of(self._seed, users.idx[:, None], item_idx)).astype(np.float32)

    def all_scores(self, users: Users) -> Float32s:
        """O(U n_items), a user at a time: hashes take several times the room of scores."""
        scores = np.empty((len(users), self.n_items), np.float32)
        items = np.arange(self.n_items, dtype=np.int32)
        for row, user in enumerate(users.idx):
            scores[row] = uniform(hash_of(self._seed, user, items))
        return scores


class WithFallback:
    """A model, with popularity for the users that it does not know, as such users are shown."""

    def __init__(self, model: Scorer, popularity: Popularity) -> None:
        self._model, self._popularity = model, popularity
        self.predicts_ratings = model.predicts_ratings
        self.history, self.n_items = model.history, min(model.n_items, popularity.n_items)

    def knows(self, users: Users) -> npt.NDArray[np.bool_]:
        """Those whom the model knows."""
        return self._model.knows(users)

    def scores(self, users: Users, item_idx: Int32s) -> Float32s:
        """As the model's, and popularity's in the rows of unknown users."""
        known = self.knows(users)
        scores = self._popularity.scores(users, item_idx)
        if known.any():
            scores[known] = self._model.scores(users[known], item_idx[known])
        return scores

    def all_scores(self, users: Users) -> Float32s:
        """As the model's, and popularity's in the rows of unknown users."""
        known = self.knows(users)
        if known.all():
            return self._model.all_scores(users)[:, : self.n_items]
        scores = self._popularity.all_scores(users)[:, : self.n_items]
        if known.any():
            scores[known] = self._model.all_scores(users[known])[:, : self.n_items]
        return scores
