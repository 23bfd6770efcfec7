"""Users as a scorer is given them: who they are, and what they did lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark.ragged import Int32s, padded


@dataclass(frozen=True)
class Users:
    """A block of users: `idx` (U,) and `history` (U, L), the latest items oldest first, `NO_ITEM` in front of short ones.

    A model that reads no history is given one of width 0. `context` (U, W) is the packed context that they are to be scored
    in, see `features.contexts`; None where there is none.
    """

    idx: Int32s
    history: Int32s
    context: Int32s | None = None

    @classmethod
    def without_history(cls, idx: npt.ArrayLike) -> Users:
        """Users known by index alone."""
        indices = np.asarray(idx, dtype=np.int32)
        return cls(indices, np.empty((len(indices), 0), dtype=np.int32))

    def __len__(self) -> int:
        return len(self.idx)

    def __getitem__(self, rows: Any) -> Users:
        """Some of the users, by a slice, a mask or places."""
        return Users(self.idx[rows], self.history[rows], None if self.context is None else self.context[rows])


def history_of(items: Sequence[int], most: int) -> Int32s:
    """One user's latest items as a history (1, most)."""
    return padded(np.array([len(items)]), np.asarray(items, dtype=np.int32), most, in_front=True)
