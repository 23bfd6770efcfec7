"""The best of many scores, which come a tile of items at a time. Numpy alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Ragged = tuple[npt.NDArray[Any], npt.NDArray[Any]]

_SAMPLE: Final = 2048


def best_of(
    tiles: Iterable[tuple[int, Floats]], users: int, n: int, exclude: Ragged | None = None
) -> tuple[Ints, Floats]:
    """Each user's n best items, best first, equal scores by lower index: item_idx (U, n), score (U, n).

    Where fewer than n items are left, -1 with a score of -inf fills the row. O(U items), beside what makes the tiles.

    Args:
        tiles: the first item's index and the scores (U, W) from there on, in the order of the items; what is excluded
            is overwritten in them.
        users: U, also where there is no tile.
        exclude: items to leave out, `(indptr (U+1,), item_idx)`: user u's are `item_idx[indptr[u]:indptr[u + 1]]`; those
            in no tile are passed over.
    """
    items = np.full((users, n), -1, dtype=np.int32)
    best = np.full((users, n), -np.inf, dtype=np.float32)
    for first_item, scores in tiles:
        if exclude is not None:
            _bar(scores, first_item, exclude)
        _merge_best(items, best, scores, first_item)
    return items, best


def finite(scores: Floats) -> Floats:
    """The scores as they are.

    Raises:
        ValueError: not all of them are finite.
    """
    if not np.isfinite(scores.sum()):
        raise ValueError("scores are not finite: the model's weights are not; train it again at a lower rate")
    return scores


def _bar(scores: Floats, first_item: int, exclude: Ragged) -> None:
    """Set the scores of excluded items to -inf."""
    indptr, item_idx = exclude
    for row, of_user in enumerate(scores):
        columns = item_idx[indptr[row] : indptr[row + 1]] - first_item
        of_user[columns[(columns >= 0) & (columns < len(of_user))]] = -np.inf


def _merge_best(items: Ints, best: Floats, scores: Floats, first_item: int) -> None:
    """Let new scores (U, W) compete with the best so far, items and best (U, n); those met first win ties."""
    n = items.shape[1]
    for row, new in enumerate(scores):
        candidates = np.concatenate([best[row], new])
        chosen = _highest(candidates, n)
        best[row] = candidates[chosen]
        items[row] = np.where(chosen < n, items[row].take(chosen, mode="clip"), chosen - n + first_item)
    items[np.isneginf(best)] = -1


def _highest(scores: Floats, n: int) -> npt.NDArray[np.int64]:
    """Where the n highest of more scores stand, highest first, ties in their order."""
    places = np.flatnonzero(scores >= _bound(scores, n))
    order = np.argsort(-scores[places], kind="stable")[:n]
    return np.asarray(places[order])


def _bound(scores: Floats, n: int) -> np.float32:
    """A score that n scores reach, and not many more: the n-th highest, or of many scores one that a sample puts near it.

    The sample costs a fraction of looking for the n-th; where it misleads, the n-th itself is taken.
    """
    sample = scores[:: max(1, len(scores) // _SAMPLE)]
    expected = n * len(sample) / len(scores)
    place = int(expected + 3.0 * np.sqrt(expected) + 3.0)
    if place < len(sample) // 8:
        near = np.partition(sample, -place)[-place]
        if n <= np.count_nonzero(scores >= near) <= 8 * n + _SAMPLE:
            return np.float32(near)
    return np.float32(np.partition(scores, -n)[-n])
