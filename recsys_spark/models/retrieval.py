"""The best items of each query by dot product: exact, in blocks of items, numpy alone."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recsys_spark.models.selection import Floats, Ints, Ragged, best_of, finite

_BLOCK_BYTES: Final = 8 << 20  # larger ones come slower out of memory than they save
_LARGEST: Final = float(np.finfo(np.float32).max) / 2.0


class Own(NamedTuple):
    """What some items have beside the dot product: `items` (U, w), -1 for none, and `values` (U, w), one an item."""

    items: Ints
    values: Floats

    @classmethod
    def latest(cls, history: Ints, values: Floats) -> Own:
        """Values (U, w) of the last w places of histories (U, L); w may be 0, and then no item has any."""
        return cls(history[:, history.shape[1] - values.shape[1] :], values)


class DotScorer:
    """Scores q . v_i for queries q (U, d) against item vectors v (n_items, d), which may be memory-mapped."""

    def __init__(self, vectors: Floats, max_bytes: int = _BLOCK_BYTES) -> None:
        self._vectors, self._max_bytes = np.asarray(vectors), max_bytes
        self.n_items = len(vectors)
        self._largest = max(float(self._vectors.max(initial=0.0)), -float(self._vectors.min(initial=0.0)))

    def top_n(self, queries: Floats, own: Own, n: int, exclude: Ragged | None = None) -> tuple[Ints, Floats]:
        """Each query's n best items, best first, equal scores by lower index: item_idx (U, n), score (U, n).

        Where fewer than n items are left, -1 with a score of -inf fills the row. O(U n_items d), the scores in blocks of
        items within `max_bytes`.

        Args:
            own: what some items have beside the dot product.
            exclude: items to leave out, `(indptr (U+1,), item_idx)`.

        Raises:
            ValueError: scores that are not finite.
        """
        wide = max(1, self._max_bytes // (4 * max(1, len(queries))))
        starts = range(0, self.n_items, wide)
        dots = ((start, queries @ self._vectors[start : start + wide].T) for start in starts)
        tiles = ((start, add_own(scores, start, own)) for start, scores in dots)
        if not self._stay_finite(queries, own):
            tiles = ((start, finite(scores)) for start, scores in tiles)
        return best_of(tiles, len(queries), n, exclude)

    def all_scores(self, queries: Floats, own: Own) -> Floats:
        """Every item's score: (U, d) -> (U, n_items), which is the caller's to bound by U."""
        return finite(add_own(queries @ self._vectors.T, 0, own))

    def scores(self, queries: Floats, own: Own, item_idx: npt.NDArray[Any]) -> Floats:
        """Each query's own items: (U, d) and (U, C) -> (U, C)."""
        scores = np.empty(item_idx.shape, dtype=np.float32)
        for row, items in enumerate(item_idx):  # (C, d) at a time: (U, C, d) may be large
            scores[row] = self._vectors[items] @ queries[row]
            scores[row] += ((items[:, None] == own.items[row]) * own.values[row]).sum(axis=1)
        return finite(scores)

    def _stay_finite(self, queries: Floats, own: Own) -> bool:
        """Whether no score can be anything else, by the largest numbers: spares a look at all scores."""
        largest = queries.shape[1] * float(np.abs(queries).max(initial=0.0)) * self._largest
        return largest + float(np.abs(own.values).max(initial=0.0)) < _LARGEST  # false for NaN too


def add_own(scores: Floats, first_item: int, own: Own) -> Floats:
    """Scores (U, W) of the items from the first on, in place, with what some have of their own."""
    places = own.items - first_item
    rows, columns = np.nonzero((places >= 0) & (places < scores.shape[1]) & (own.values != 0.0))
    scores[rows, places[rows, columns]] += own.values[rows, columns]  # an item has a value at one place alone
    return scores
