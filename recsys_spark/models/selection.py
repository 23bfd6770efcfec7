"""The best of many scores, which come a tile of items at a time. Numpy alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Ragged = tuple[npt.NDArray[Any], npt.NDArray[Any]]

Keys = npt.NDArray[np.uint64]

TOGETHER: Final = 1 << 18  # scores that are looked through at a time: 1 MiB stays in a core's cache
BYTES_A_SCORE: Final = 72  # of these, at most, while they are
_SAMPLED: Final = 8  # every so many-th score is in a sample
_NONE: Final = np.uint64((1 << 64) - 1)
_HALF: Final = np.uint64(32)
_ITEM: Final = np.uint64((1 << 32) - 1)
_SIGN: Final = np.uint32(1 << 31)


def best_of(
    tiles: Iterable[tuple[int, Floats]], users: int, n: int, exclude: Ragged | None = None
) -> tuple[Ints, Floats]:
    """Each user's n best items, best first, equal scores by lower index: item_idx (U, n), score (U, n).

    Where fewer than n items are left, -1 with a score of -inf fills the row. O(U items), beside what makes the tiles: of a
    tile only scores above the user's n-th best so far are looked at again.

    Args:
        tiles: the first item's index and the scores (U, W) from there on, in the order of the items; what is excluded
            is overwritten in them.
        users: U, also where there is no tile.
        exclude: items to leave out, `(indptr (U+1,), item_idx)`: user u's are `item_idx[indptr[u]:indptr[u + 1]]`; those
            in no tile are passed over.
    """
    barred = None if exclude is None else _by_item(exclude)
    parts: list[tuple[slice, _Best]] = []
    for first_item, scores in tiles:
        if barred is not None:
            _bar(scores, first_item, *barred)
        parts = parts or _parts(users, scores.shape[1], n)
        for rows, best in parts:
            best.meet(scores[rows], first_item)
    found = [best.in_order() for _, best in parts]
    items = [np.full((0 if found else users, n), -1, np.int32), *(items for items, _ in found)]
    scored = [np.full((0 if found else users, n), -np.inf, np.float32), *(scores for _, scores in found)]
    return np.concatenate(items), np.concatenate(scored)


def finite(scores: Floats) -> Floats:
    """The scores as they are.

    Raises:
        ValueError: not all of them are finite.
    """
    if not np.isfinite(scores.sum()):
        raise ValueError("scores are not finite: the model's weights are not; train it again at a lower rate")
    return scores


class _Best:
    """The n best so far of some users, and what may be better but has not been compared yet.

    Both as integers that rise as scores fall, equal scores by index, which numpy sorts many at a time.
    """

    def __init__(self, users: int, n: int) -> None:
        self._n, self._keys = n, np.full((users, 2 * n), _NONE)
        self._held = np.zeros(users, np.int64)
        self._bound = np.full(users, -np.inf, np.float32)  # the n-th best so far, -inf where there are fewer

    def meet(self, scores: Floats, first_item: int) -> None:
        """Scores (U, W) of the items after those met before."""
        bound, first = self._bound, np.isneginf(self._bound).any()
        if first:
            bound = np.maximum(bound, _bound(scores, self._n))
        places = np.flatnonzero(scores > bound[:, np.newaxis])
        rows = places // scores.shape[1]
        items = (places - rows * scores.shape[1] + first_item).astype(np.uint64)
        self._add(rows, _falling(scores.ravel()[places]) << _HALF | items)
        if first:
            self._settle()

    def in_order(self) -> tuple[Ints, Floats]:
        """Items and scores (U, n), best first."""
        self._settle()
        keys = self._keys[:, : self._n]
        nothing = keys == _NONE
        items = np.where(nothing, np.uint64(0), keys & _ITEM).astype(np.int32) - nothing
        return items.astype(np.int32), np.where(nothing, np.float32(-np.inf), _risen(keys >> _HALF))

    def _add(self, rows: npt.NDArray[np.intp], keys: Keys) -> None:
        """More keys, of rows in order."""
        counts = np.bincount(rows, minlength=len(self._held))
        if (self._held + counts).max() > self._keys.shape[1]:
            self._settle()
            missing = int((self._held + counts).max()) - self._keys.shape[1]
            if missing > 0:
                self._keys = np.concatenate([self._keys, np.full((len(counts), missing), _NONE)], axis=1)
        starts = self._held - np.cumsum(counts) + counts
        self._keys[rows, starts[rows] + np.arange(len(rows))] = keys
        self._held += counts

    def _settle(self) -> None:
        """Keep the n best alone."""
        self._keys[:, : self._held.max()].sort(axis=1)
        self._keys[:, self._n :] = _NONE
        self._held = np.minimum(self._held, self._n)
        last = self._keys[:, self._n - 1]
        self._bound = np.where(last == _NONE, np.float32(-np.inf), _risen(last >> _HALF))


def _bound(scores: Floats, n: int) -> Floats:
    """For each row a score that more than n are above of, and not many more, or -inf: (U,).

    Looked for in a sample, which costs a fraction of a sort; where it misleads, the row's n-th best is taken.
    """
    nowhere = np.full(len(scores), -np.inf, np.float32)
    if scores.shape[1] <= 2 * n:
        return nowhere
    sample = np.sort(scores[:, ::_SAMPLED], axis=1)
    expected = n / _SAMPLED
    place = min(int(expected + 3.0 * np.sqrt(expected) + 3.0), sample.shape[1])
    bound = sample[:, -place]
    above = np.count_nonzero(scores > bound[:, np.newaxis], axis=1)
    for row in np.flatnonzero((above < n) | (above > 8 * n)):
        bound[row] = np.nextafter(np.sort(scores[row])[-n], np.float32(-np.inf))  # one equal to it may be among them
    return bound


def _falling(scores: Floats) -> Keys:
    """Finite scores as integers of 32 bits, the higher the score the lower."""
    bits = (scores + np.float32(0.0)).view(np.uint32)  # -0 is 0
    return np.where(bits >> 31, bits, ~(bits | _SIGN)).astype(np.uint64)


def _risen(falling: Keys) -> Floats:
    """The scores that `_falling` made integers of."""
    bits = falling.astype(np.uint32)
    return np.where(bits >> 31, bits, ~bits & ~_SIGN).view(np.float32)


def _parts(users: int, width: int, n: int) -> list[tuple[slice, _Best]]:
    """The users in so few at a time that their scores of a tile are looked through in a core's cache."""
    size = min(max(1, TOGETHER // max(1, width)), max(1, users))
    starts = range(0, users, size)
    return [(slice(start, start + size), _Best(min(size, users - start), n)) for start in starts]


def _by_item(exclude: Ragged) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Rows and items that are excluded, in the order of the items."""
    indptr, item_idx = exclude
    own = item_idx[indptr[0] : indptr[-1]]
    order = np.argsort(own, kind="stable")
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))[order], own[order]


def _bar(scores: Floats, first_item: int, rows: npt.NDArray[Any], items: npt.NDArray[Any]) -> None:
    """Set the scores of excluded items to -inf."""
    inside = slice(*np.searchsorted(items, [first_item, first_item + scores.shape[1]]))
    scores[rows[inside], items[inside] - first_item] = -np.inf
