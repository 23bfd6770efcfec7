"""A trained model behind the questions that scoring asks, by the cheapest means that the model allows.

NeuMF's family without declared features is numpy alone, so that a Spark worker need not start TensorFlow. A model that
retrieves computes a query a user with TensorFlow and takes the dot products in numpy; any other scores blocks of users
and items with TensorFlow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from recsys_spark.errors import UserError
from recsys_spark.models.retrieval import DotScorer, Own
from recsys_spark.models.scoring import BlockScorer
from recsys_spark.models.selection import Floats, Ints, Ragged, best_of, finite
from recsys_spark.models.users import Users
from recsys_spark.storage import load_arrays, load_manifest

Bools = npt.NDArray[np.bool_]

_CATALOGUE: Final = "catalogue"
_FLOATS_AT_A_TIME: Final = 1 << 26  # 256 MiB


class ModelScorer(Protocol):
    """Scores of one artifact's model; users and items are indices, higher is better within one user's list."""

    model_version: str
    n_items: int
    history: int  # items of a user's history that it reads; 0: none
    predicts_ratings: bool

    def knows(self, users: Users) -> Bools:
        """Which users it can score, (U,): the others are for the fallback."""

    def scores(self, users: Users, item_idx: Ints) -> Floats:
        """Each user's own items: (U, C) -> (U, C)."""

    def all_scores(self, users: Users) -> Floats:
        """The whole catalogue: (U, n_items)."""

    def top_n(self, users: Users, n: int, exclude: Ragged | None) -> tuple[Ints, Floats]:
        """The n best items of each user, best first, ties to the lower index: (U, n) items and scores, -1 beyond.

        Args:
            exclude: each user's items to leave out, as `(indptr (U+1,), indices)`.
        """


class _Scorer:
    """What the artifact's manifest says, whatever scores."""

    def __init__(self, location: str, manifest: dict[str, Any]) -> None:
        self.location = location
        self.model_version = str(manifest["model_version"])
        self.n_users, self.n_items = (int(manifest["model"][size]) for size in ("n_users", "n_items"))
        scoring = manifest.get("scoring", {})
        self.history = int(scoring.get("history", 0))
        self._without_history = bool(scoring.get("without_history", False))
        self.predicts_ratings = bool(scoring.get("ratings", False))
        self.context = int(scoring.get("context", 0))

    def knows(self, users: Users) -> Bools:
        """Users with a history, for a model that reads it; those it has an index for, if it needs none."""
        in_index = users.idx < self.n_users
        if not self.history or not users.history.shape[1]:
            return in_index
        with_history = users.history[:, -1] >= 0
        return with_history | in_index if self._without_history else with_history

    def _context(self, users: Users) -> Ints:
        """(U, W), all -1 where none is given."""
        if users.context is None or not self.context:
            return np.full((len(users), self.context), -1, np.int32)
        if users.context.shape[1] != self.context:
            raise UserError(
                f"the context is {users.context.shape[1]} numbers wide, {self.model_version} takes {self.context}: the "
                "features declared of it changed; train again (jobs/features.py, jobs/examples.py, jobs/train.py)"
            )
        return users.context


class _ByIndex(_Scorer):
    """NeuMF without side features: the tables are mapped into memory, of which only the users scored are read."""

    def __init__(self, location: str, manifest: dict[str, Any]) -> None:
        super().__init__(location, manifest)
        self._scorer = BlockScorer({name.rpartition("/")[2]: array for name, array in load_arrays(location).items()})

    def scores(self, users: Users, item_idx: Ints) -> Floats:
        return self._scorer.scores(users.idx, item_idx)

    def all_scores(self, users: Users) -> Floats:
        return self._scorer.all_scores(users.idx)

    def top_n(self, users: Users, n: int, exclude: Ragged | None) -> tuple[Ints, Floats]:
        return self._scorer.top_n(users.idx, n, exclude)


class _ByQuery(_Scorer):
    """A model that retrieves: a query a user, dot products with the catalogue's vectors, which are mapped."""

    def __init__(self, location: str, manifest: dict[str, Any]) -> None:
        super().__init__(location, manifest)
        self._dots = DotScorer(load_arrays(location)[_CATALOGUE])
        self._query: Any = None

    def scores(self, users: Users, item_idx: Ints) -> Floats:
        return self._dots.scores(*self._asked(users), item_idx)

    def all_scores(self, users: Users) -> Floats:
        return self._dots.all_scores(*self._asked(users))

    def top_n(self, users: Users, n: int, exclude: Ragged | None) -> tuple[Ints, Floats]:
        return self._dots.top_n(*self._asked(users), n, exclude)

    def queries(self, users: Users) -> Floats:
        """(U,) users -> (U, d)."""
        return self._asked(users)[0]

    def _asked(self, users: Users) -> tuple[Floats, Own]:
        """Queries, and what the users' own items have beside the dot product."""
        if self._query is None:
            model = _loaded(self.location)
            self._query = _compiled(lambda of: (model.queries(of), model.own_items(of)), "user", "history", "context")
        found = self._query(_known_or_none(users, self.n_users), users.history, self._context(users))
        queries, values = (np.asarray(each) for each in found)
        return queries, Own.latest(users.history, values)


class _ByNetwork(_Scorer):
    """Any other model: TensorFlow over blocks of users and tiles of items."""

    def __init__(self, location: str, manifest: dict[str, Any]) -> None:
        super().__init__(location, manifest)
        self._call: Any = None
        self._pairs = _FLOATS_AT_A_TIME // int(manifest.get("scoring", {}).get("pair_floats", 256))

    def scores(self, users: Users, item_idx: Ints) -> Floats:
        rows = max(1, self._pairs // max(1, item_idx.shape[1]))
        blocks = [slice(start, start + rows) for start in range(0, len(users), rows)]
        scored = [self._scores(users[block], item_idx[block]) for block in blocks]
        return np.concatenate(scored) if scored else np.empty(item_idx.shape, np.float32)

    def all_scores(self, users: Users) -> Floats:
        scores = np.empty((len(users), self.n_items), dtype=np.float32)
        for start, tile in self._tiles(users):
            scores[:, start : start + tile.shape[1]] = tile
        return scores

    def top_n(self, users: Users, n: int, exclude: Ragged | None) -> tuple[Ints, Floats]:
        return best_of(self._tiles(users), len(users), n, exclude)

    def _tiles(self, users: Users) -> Iterator[tuple[int, Floats]]:
        """All items' scores (U, W), W of them at a time, each time with the first item's index."""
        wide = max(1, self._pairs // max(1, len(users)))
        for start in range(0, self.n_items, wide):
            items = np.arange(start, min(start + wide, self.n_items), dtype=np.int32)
            yield start, self._scores(users, np.broadcast_to(items, (len(users), len(items))))

    def _scores(self, users: Users, item_idx: Ints) -> Floats:
        if self._call is None:
            self._call = _compiled(_loaded(self.location), "user", "history", "context", "items")
        known = _known_or_none(users, self.n_users)
        return finite(np.array(self._call(known, users.history, self._context(users), item_idx)))


@lru_cache(maxsize=2)
def load_scorer(location: str) -> ModelScorer:
    """The scorer of an artifact, loaded once a Python process."""
    manifest = load_manifest(location)
    by = {"index": _ByIndex, "query": _ByQuery, "network": _ByNetwork}
    kind: type[Any] = by[manifest.get("scoring", {}).get("by", "index")]
    scorer: ModelScorer = kind(location, manifest)
    return scorer


def _loaded(location: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # a Spark worker has not what the job's driver set for itself
    from recsys_spark.training.artifact import load_artifact

    return load_artifact(location).model


def _known_or_none(users: Users, n_users: int) -> Ints:
    return np.where(users.idx < n_users, users.idx, -1).astype(np.int32)


def _compiled(function: Any, *names: str) -> Any:
    """A function of a mapping as one of arrays, traced once for blocks of any size; -1 is a user unknown."""
    import tensorflow as tf

    vector, matrix = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, None), tf.int32)
    specs = [vector if name == "user" else matrix for name in names]
    return tf.function(lambda *arrays: function(dict(zip(names, arrays, strict=True))), input_signature=specs)
