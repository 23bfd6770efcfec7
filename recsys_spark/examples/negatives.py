"""Negatives drawn by hash: the same for the same seed on any number of partitions, and never a barred one.

A draw is a hash of (seed, draw, user, item, repeat, place, attempt); one that hits a barred item is drawn again with the
next attempt. After `_ATTEMPTS` the few that are left, users who have nearly everything, choose from what they lack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark.hashing import UInt64s, below, extend, hash_of, pair_keys, uniform

Ints = npt.NDArray[np.integer[Any]]

_ATTEMPTS = 32
NONE_LEFT = -1


@dataclass(frozen=True)
class Pool:
    """What negatives are drawn from: `items` (n,) sorted item indices, `cumulative` (n,) ending at 1, or None: uniform.

    Item-sized: eight or sixteen bytes an item on every worker.
    """

    items: npt.NDArray[np.int32]
    cumulative: npt.NDArray[np.float64] | None = None

    @classmethod
    def weighted(cls, items: Ints, popularity: npt.NDArray[Any], alpha: float) -> Pool:
        """Drawn in proportion to popularity ** alpha, as word2vec does (Mikolov et al. 2013)."""
        order = np.argsort(items)
        weights = np.asarray(popularity, dtype=np.float64)[order] ** alpha
        return cls(np.asarray(items)[order].astype(np.int32), np.cumsum(weights) / weights.sum())

    @classmethod
    def uniform(cls, items: Ints) -> Pool:
        return cls(np.sort(np.asarray(items)).astype(np.int32))

    def pick(self, hashes: UInt64s) -> npt.NDArray[np.int32]:
        """One item for each hash, in the hashes' shape."""
        if self.cumulative is None:
            places = below(hashes, len(self.items))
        else:
            places = np.searchsorted(self.cumulative, uniform(hashes), side="right")
            places = np.minimum(places, len(self.items) - 1)
        picked: npt.NDArray[np.int32] = self.items[places]
        return picked


def draw_negatives(
    seed: int, draw: int, users: Ints, items: Ints, repeat: Ints, count: int, barred: UInt64s, pool: Pool
) -> npt.NDArray[np.int32]:
    """`count` negatives for each pair `(users[i], items[i])`: (n, count) item indices.

    Each is drawn by itself, so the same negative may come twice beside a positive, as in the NCF paper's code.

    Args:
        repeat: which of its pair's positives each is, from 0, where a pair counts more than once.
        barred: sorted `pair_keys` of what must not be drawn.

    Returns:
        The negatives; `NONE_LEFT` throughout a row whose user has the whole pool. O(n count log barred).
    """
    row = hash_of(seed, draw, users, items, repeat)
    places = extend(row[:, None], np.arange(count))
    chosen = np.empty(places.shape, dtype=np.int32)
    open_rows, open_places = np.nonzero(np.ones(places.shape, dtype=bool))
    for attempt in range(_ATTEMPTS):
        picked = pool.pick(extend(places[open_rows, open_places], attempt))
        chosen[open_rows, open_places] = picked
        hit = is_barred(pair_keys(users[open_rows], picked), barred)
        open_rows, open_places = open_rows[hit], open_places[hit]
        if not len(open_rows):
            return chosen
    for at, place in zip(open_rows, open_places, strict=True):
        left = _not_barred(int(users[at]), barred, pool)
        last = extend(places[at, place : place + 1], _ATTEMPTS)
        chosen[at, place] = left[below(last, len(left))[0]] if len(left) else NONE_LEFT
    return chosen


def draw_candidates(seed: int, draw: int, user: int, count: int, barred: UInt64s, pool: Pool) -> npt.NDArray[np.int32]:
    """Up to `count` different items for one user, none barred, sorted; fewer where the pool has no more.

    Expected O(count log barred) while `count` and the barred are a small part of the pool.
    """
    chosen: npt.NDArray[np.int32] = np.empty(0, dtype=np.int32)
    stream = hash_of(seed, draw, user)
    for attempt in range(_ATTEMPTS):
        picked = pool.pick(extend(stream, attempt, np.arange(2 * count)))
        picked = picked[~is_barred(pair_keys(np.full(len(picked), user), picked), barred)]
        merged = np.concatenate([chosen, picked])
        _, first = np.unique(merged, return_index=True)
        chosen = merged[np.sort(first)][:count]
        if len(chosen) == count:
            return np.sort(chosen)
    left = np.setdiff1d(_not_barred(user, barred, pool), chosen)
    order = np.argsort(hash_of(seed, draw, user, _ATTEMPTS, left), kind="stable")
    return np.sort(np.concatenate([chosen, left[order][: count - len(chosen)]]))


def is_barred(keys: UInt64s, barred: UInt64s) -> npt.NDArray[np.bool_]:
    """Whether each key is among the sorted `barred`."""
    if not len(barred):
        return np.zeros(keys.shape, dtype=bool)
    places = np.minimum(np.searchsorted(barred, keys), len(barred) - 1)
    found: npt.NDArray[np.bool_] = barred[places] == keys
    return found


def _not_barred(user: int, barred: UInt64s, pool: Pool) -> npt.NDArray[np.int32]:
    keys = pair_keys(np.full(len(pool.items), user), pool.items)
    return pool.items[~is_barred(keys, barred)]
