"""The model that answers on the spot: a folder of arrays that publish left beside the lists, and numpy.

What it holds grows with the catalogue and not with the users: whatever is of one user comes with the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from recsys_spark import storage
from recsys_spark.models.forward import Forward
from recsys_spark.models.selection import Floats, Ints, best_of, finite
from recsys_spark.serving.history import History
from recsys_spark.serving.live_context import LiveContext, Value

IN_NIGHT: Final = "model"  # the folder of a live model, where it lies with the lists of its night
CATALOGUE: Final = "catalogue"
BARRED, RULES = "barred", "rules"  # of each item, see `recommend.barring.Catalogue`


class Asked(NamedTuple):
    """Whom to answer: what they had just now (k,), oldest first, who they are, if that is known, and the moment."""

    items: Ints
    history: History | None = None
    context: Mapping[str, Value] = {}


class LiveModel:
    """Scores and lists of one model that reads histories and retrieves. Any number of threads may ask.

    Args:
        location: a folder as `live_export` writes it.

    Raises:
        UserError: there is none, or it is not whole.
    """

    def __init__(self, location: str) -> None:
        manifest = storage.load_manifest(location)
        arrays = {name: np.array(array) for name, array in storage.load_arrays(location).items()}
        self._vectors, self._barred, self._rules = (arrays.pop(name) for name in (CATALOGUE, BARRED, RULES))
        self._lengths = np.linalg.norm(self._vectors, axis=1)
        self._forward = Forward(manifest["model"]["name"], manifest["model"]["settings"], arrays)
        self._without_history = bool(manifest["scoring"].get("without_history", False))
        self._rules_of_unknown = int(manifest["rules_of_unknown"])
        self.context = LiveContext(manifest["context"], manifest["given"])
        self.model_version = str(manifest["model_version"])
        self.exclude_seen = bool(manifest["exclude_seen"])
        self.n_items = len(self._vectors)
        self.bytes = sum(array.nbytes for array in (*arrays.values(), self._vectors, self._barred, self._rules))
        self.top(Asked(np.zeros(1, np.int32)), 1)  # warm: what is read first comes into memory

    def knows(self, asked: Asked) -> bool:
        """Whether there is anything to go by."""
        by_features = self._without_history and asked.history is not None and asked.history.side is not None
        return by_features or len(self._read(asked)) > 0

    def scores(self, asked: Asked) -> Floats:
        """The whole catalogue: (n_items,). O(n_items width).

        Raises:
            ValueError: they are not finite.
        """
        items, user = self._read(asked), asked.history
        packed = self.context.packed(asked.context, None if user is None else user.context)
        scores = self._vectors @ self._forward.query(items, None if user is None else user.side, packed)
        copied, joined = self._forward.own(items, scores)
        scores[copied] = joined
        return finite(scores)

    def top(self, asked: Asked, n: int, without: Ints | None = None) -> tuple[Ints, Floats]:
        """The n best items that the user may be shown, best first, ties to the lower index: at most n items and scores.

        What is barred for everyone or for this user is left out, and what they had, where lists leave that out.
        """
        scores, user = self.scores(asked), asked.history
        rules = self._rules_of_unknown if user is None else user.rules
        scores[(self._barred != 0) | ((self._rules & rules) != 0)] = -np.inf
        own = [] if user is None else [user.blocked]
        for left_out in (*own, *((self.had(asked),) if self.exclude_seen else ()), without):
            if left_out is not None:
                scores[left_out[left_out < self.n_items]] = -np.inf
        (items,), (best,) = best_of([(0, scores[np.newaxis])], 1, min(n, self.n_items))
        there = np.isfinite(best)
        return items[there], best[there]

    def had(self, asked: Asked) -> Ints:
        """All that the user had, and the items of the request."""
        return asked.items if asked.history is None else np.concatenate([asked.history.seen, asked.items])

    def similar(self, item: int, n: int) -> tuple[Ints, Floats]:
        """The n items nearest to one by the cosine of the item vectors, nearest first, without itself and what is barred.

        An item whose vector is zero is near to none: 0.
        """
        lengths = self._lengths * self._lengths[item]
        cosines = np.divide(self._vectors @ self._vectors[item], lengths, out=np.zeros_like(lengths), where=lengths > 0)
        cosines[self._barred != 0] = -np.inf
        cosines[item] = -np.inf
        (items,), (best,) = best_of([(0, cosines[np.newaxis])], 1, min(n, self.n_items))
        there = np.isfinite(best)
        return items[there], best[there]

    def _read(self, asked: Asked) -> Ints:
        """What is read of a history: kept items, then those of the request, without those newer than the model."""
        items = asked.items if asked.history is None else np.concatenate([asked.history.items, asked.items])
        return items[items < self.n_items]


def live_model_at(location: str) -> LiveModel | None:
    """The live model of a folder; None where there is no whole one."""
    return LiveModel(location) if storage.has_folder(location) else None


def live_manifest(location: str) -> dict[str, Any]:
    """What the folder of a live model says of it, without its arrays."""
    return {key: value for key, value in storage.load_manifest(location).items() if key != "arrays"}
