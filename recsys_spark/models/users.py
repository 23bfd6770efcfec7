"""Users as a scorer is given them: who they are, and what they did lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
NO_ITEM = -1


@dataclass(frozen=True)
class Users:
    """A block of users: `idx` (U,) and `history` (U, L), the latest items oldest first, `NO_ITEM` in front of short ones.

    A model that reads no history is given one of width 0.
    """

    idx: Int32s
    history: Int32s

    @classmethod
    def without_history(cls, idx: npt.ArrayLike) -> Users:
        """Users known by index alone."""
        indices = np.asarray(idx, dtype=np.int32)
        return cls(indices, np.empty((len(indices), 0), dtype=np.int32))

    def __len__(self) -> int:
        return len(self.idx)

    def __getitem__(self, rows: Any) -> Users:
        """Some of the users, by a slice, a mask or places."""
        return Users(self.idx[rows], self.history[rows])


def padded(lengths: npt.NDArray[np.int64], values: Int32s, most: int | None = None) -> Int32s:
    """Ragged lists as rows (n, L), `NO_ITEM` in front of short ones; of one longer than `most` its last are kept.

    Args:
        lengths: (n,) of each list.
        values: the lists one after the other.
        most: L; by default the longest list.

    >>> padded(np.array([3, 1]), np.array([5, 6, 7, 8], np.int32), 2)
    array([[ 6,  7],
           [-1,  8]], dtype=int32)
    """
    width = int(lengths.max(initial=0)) if most is None else most
    ends = np.cumsum(lengths)
    places = ends[:, None] - width + np.arange(width)
    inside = places >= (ends - lengths)[:, None]
    rows = np.full(places.shape, NO_ITEM, dtype=np.int32)
    rows[inside] = values[places[inside]]
    return rows


def history_of(items: Sequence[int], most: int) -> Int32s:
    """One user's latest items as a history (1, most)."""
    return padded(np.array([len(items)]), np.asarray(items, dtype=np.int32), most)
