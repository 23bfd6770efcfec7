"""Where an event stands in its user's history, and which of the last targets it belongs to: numpy over whole users."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark.hashing import pair_keys

Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


def positions(users: Ints) -> npt.NDArray[np.int32]:
    """Each row's place among its user's, from 1: rows sorted by user (n,) -> (n,). O(n)."""
    starts, lengths = _runs(users)
    return (np.arange(len(users)) - np.repeat(starts, lengths) + 1).astype(np.int32)


def held_out(users: Ints, items: Ints, eligible: Bools, most: int, repeats: bool) -> npt.NDArray[np.int8]:
    """Which of its user's last targets a row belongs to: 1 the last, 2 the one before it, up to `most`; 0: to none.

    A target is an eligible row, and, unless repeats may be targets, the first such row of its item. What stands after a
    target belongs to it too. A user keeps at least one target: one with two gives up the last alone, one with a single
    target none. O(n log n) in rows sorted by user and then by time.
    """
    targets = eligible if repeats else _first_of_pair(users, items, eligible)
    starts, lengths = _runs(users)
    passed = np.cumsum(targets)
    total = np.add.reduceat(targets, starts, dtype=np.int64) if len(starts) else np.zeros(0, np.int64)
    before = passed[starts] - targets[starts] if len(starts) else total
    nth = np.repeat(before + total, lengths) - passed + 1  # targets still to come, and one
    return np.where((nth <= most) & (nth < np.repeat(total, lengths)), nth, 0).astype(np.int8)


def _runs(users: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each user's rows begin, and how many they are."""
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    return starts, np.diff(starts, append=len(users))


def _first_of_pair(users: Ints, items: Ints, eligible: Bools) -> Bools:
    """The eligible rows, without those whose user had the item in an eligible row before."""
    rows = np.flatnonzero(eligible)
    _, first = np.unique(pair_keys(users[rows], items[rows]), return_index=True)
    chosen = np.zeros(len(users), dtype=np.bool_)
    chosen[rows[first]] = True
    return chosen
