"""Which items may not be in whose list, for a block of users. Numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys_spark.models.selection import Ints, Ragged

Bools = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]

# why an item is barred for everyone, as bits of `Catalogue.barred`
FOR_EVERYONE: Final = {"without_event": 1, "unavailable": 2, "blocked_category": 4}
# filters of a user's own, as they are counted
BY_PAIRS: Final = "blocked_pairs"
BY_HISTORY: Final = "seen"


@dataclass(frozen=True)
class Catalogue:
    """What bars items: `barred` (n_items,), bits of `FOR_EVERYONE`; `rules` (n_items,), a bit a rule, which bars the item for
    users with the same bit. Nine bytes an item. `rule_names` are by bit, the lowest first.
    """

    barred: npt.NDArray[np.uint8]
    rules: Longs
    rule_names: tuple[str, ...] = ()

    @classmethod
    def open(cls) -> Catalogue:
        """Nothing is barred, however many items there are."""
        return cls(np.empty(0, np.uint8), np.empty(0, np.int64))

    @cached_property
    def bars_any(self) -> bool:
        return bool(self.barred.any() or self.rules.any())

    def for_mask(self, mask: int) -> Bools:
        """(n_items,) what users with these rules may not have."""
        barred: Bools = (self.barred != 0) | ((self.rules & mask) != 0)
        return barred


class Barred:
    """What each user of a block may not be shown: by the catalogue, by pairs of their own, and what they have seen.

    Args:
        rules: (U,) a bit a rule that is about the user.
        pairs: each user's blocked items, `(indptr (U+1,), item_idx)`.
        seen: likewise what they had; None where that may come again.
    """

    def __init__(self, catalogue: Catalogue, rules: Longs, pairs: Ragged, seen: Ragged | None) -> None:
        self._catalogue, self._rules, self._pairs, self._seen = catalogue, rules, pairs, seen
        self._by_mask: dict[int, tuple[Bools, Ints]] = {}

    def lists(self, rows: npt.NDArray[np.intp]) -> Ragged | None:
        """The barred items of some users, as `ModelScorer.top_n` leaves them out; None where there are none."""
        if not self._catalogue.bars_any and not len(self._pairs[1]) and self._seen is None:
            return None
        own = [[*self._own(row), self._of_mask(row)[1]] for row in rows]
        joined = [np.concatenate(parts) for parts in own]
        return np.concatenate([[0], np.cumsum([len(items) for items in joined])]), np.concatenate(
            [np.empty(0, np.int32), *joined]
        ).astype(np.int32)

    def allows(self, items: Ints, seen_too: bool = False) -> Bools:
        """Which of each user's items (U, W) may be shown; -1 may not. O(U W + what is barred of them, sorted).

        Args:
            seen_too: what the user has seen may come again.
        """
        allowed = items >= 0
        if self._catalogue.bars_any:
            at = np.maximum(items, 0)
            allowed &= (self._catalogue.barred[at] == 0) & ((self._catalogue.rules[at] & self._rules[:, None]) == 0)
        for own in (self._pairs, None if seen_too else self._seen):
            if own is not None and len(own[1]):
                allowed &= ~within(items, own)
        return allowed

    def why(self, rows: npt.NDArray[np.intp], items: Ints, seen_too: bool = False) -> dict[str, Bools]:
        """By the filter's name, which of some entries it bars: items (E,) of the users at these rows (E,) of the block."""
        catalogue, none = self._catalogue, np.zeros(len(items), np.bool_)
        for_everyone = catalogue.barred[items] if catalogue.bars_any else none
        for_some = catalogue.rules[items] & self._rules[rows] if catalogue.bars_any else none.astype(np.int64)
        found = {name: for_everyone & bit != 0 for name, bit in FOR_EVERYONE.items()}
        found |= {f"rule_{name}": for_some >> place & 1 != 0 for place, name in enumerate(catalogue.rule_names)}
        found[BY_PAIRS] = _among(rows, items, self._pairs)
        if self._seen is not None and not seen_too:
            found[BY_HISTORY] = _among(rows, items, self._seen)
        return found

    def allows_of(self, row: int, item: int) -> bool:
        """Whether one user may ever be shown one item, seen or not."""
        if self._catalogue.bars_any and self._of_mask(row)[0][item]:
            return False
        indptr, items = self._pairs
        return item not in items[indptr[row] : indptr[row + 1]]

    def _own(self, row: Any) -> list[Ints]:
        return [own[1][own[0][row] : own[0][row + 1]] for own in (self._pairs, self._seen) if own is not None]

    def _of_mask(self, row: Any) -> tuple[Bools, Ints]:
        mask = int(self._rules[row])
        if mask not in self._by_mask:
            barred = self._catalogue.for_mask(mask)
            self._by_mask[mask] = barred, np.flatnonzero(barred).astype(np.int32)
        return self._by_mask[mask]


def within(items: Ints, of_users: Ragged) -> Bools:
    """Which places of rows (U, W) hold an item of the row's own list; -1 is in none."""
    return _among(np.arange(len(items))[:, None], items, of_users) & (items >= 0)


def _among(rows: npt.NDArray[np.intp], items: Ints, of_users: Ragged) -> Bools:
    """Which items are in the own lists of the users at these rows, which broadcast with them."""
    indptr, own = of_users
    width = 1 + max(int(items.max(initial=0)), int(own.max(initial=0)))
    owners = np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))
    return np.isin(rows.astype(np.int64) * width + items, owners * width + own)


def ragged_of(column: Any) -> Ragged:
    """A list column of an Arrow batch, null as an empty list."""
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), column.flatten().to_numpy(zero_copy_only=False)


def nothing_for(users: int) -> Ragged:
    """No item for any of so many users."""
    return np.zeros(users + 1, np.int64), np.empty(0, np.int32)


def column_of(batch: pa.RecordBatch, name: str) -> Any:
    """A column, or None where the batch has it not."""
    return batch.column(name) if name in batch.schema.names else None
