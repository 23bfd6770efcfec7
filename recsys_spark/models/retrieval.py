"""The best items of each query by dot product: exact, in blocks of items, numpy alone."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark.models.scoring import bar, merge_best

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Ragged = tuple[npt.NDArray[Any], npt.NDArray[Any]]

_BLOCK_BYTES: Final = 64 << 20


class DotScorer:
    """Scores q . v_i for queries q (U, d) against item vectors v (n_items, d), which may be memory-mapped."""

    def __init__(self, vectors: Floats, max_bytes: int = _BLOCK_BYTES) -> None:
        self._vectors, self._max_bytes = np.asarray(vectors), max_bytes
        self.n_items = len(vectors)

    def top_n(self, queries: Floats, n: int, exclude: Ragged | None = None) -> tuple[Ints, Floats]:
        """Each query's n best items, best first, equal scores by lower index: item_idx (U, n), score (U, n).

        Where fewer than n items are left, -1 with a score of -inf fills the row. O(U n_items d), the scores in blocks of
        items within `max_bytes`.

        Args:
            exclude: items to leave out, `(indptr (U+1,), item_idx)`.

        Raises:
            ValueError: scores that are not finite.
        """
        items = np.full((len(queries), n), -1, dtype=np.int32)
        best = np.full((len(queries), n), -np.inf, dtype=np.float32)
        wide = max(1, self._max_bytes // (4 * max(1, len(queries))))
        for start in range(0, self.n_items, wide):
            scores = _finite(queries @ self._vectors[start : start + wide].T)
            if exclude is not None:
                bar(scores, start, exclude, slice(0, len(queries)))
            merge_best(items, best, scores, start)
        return items, best

    def all_scores(self, queries: Floats) -> Floats:
        """Every item's score: (U, d) -> (U, n_items), which is the caller's to bound by U."""
        return _finite(queries @ self._vectors.T)

    def scores(self, queries: Floats, item_idx: npt.NDArray[Any]) -> Floats:
        """Each query's own items: (U, d) and (U, C) -> (U, C)."""
        scores = np.empty(item_idx.shape, dtype=np.float32)
        for row, items in enumerate(item_idx):  # (C, d) at a time: (U, C, d) may be large
            scores[row] = self._vectors[items] @ queries[row]
        return _finite(scores)


def _finite(scores: Floats) -> Floats:
    if not np.isfinite(scores.sum()):
        raise ValueError("scores are not finite: the model's weights are not; train it again at a lower rate")
    return scores
