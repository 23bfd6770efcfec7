"""Ranked items of each source for a block of users, and how they are joined with the sources kept. Numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recsys_spark.models.selection import Floats, Ints, Ragged
from recsys_spark.ragged import NO_ITEM, padded
from recsys_spark.recommend.barring import Bools
from recsys_spark.recommend.fallback import Popular


class Proposed(NamedTuple):
    """`items` (U, W), best first, -1 behind or between; `because` (U, W), the user's item that brought each, -1 for none."""

    items: Ints
    because: Ints

    @classmethod
    def of(cls, items: Ints) -> Proposed:
        """Items that no other item brought."""
        return cls(items, np.full_like(items, NO_ITEM))

    def first(self, allowed: Bools, most: int) -> Proposed:
        """Each user's first `most` items that are allowed (U, W), in their order."""
        order = np.argsort(~allowed, axis=1, kind="stable")[:, :most]
        there = np.take_along_axis(allowed, order, axis=1)
        items, because = (np.take_along_axis(each, order, axis=1) for each in self)
        return Proposed(np.where(there, items, NO_ITEM), np.where(there, because, NO_ITEM))


class Joined(NamedTuple):
    """Each user's different candidates as rows (U, C), -1 behind: in the order of the sources, then of their ranks."""

    items: Ints
    bits: Ints  # of `reasons.BITS`: the sources that proposed it
    because: Ints


@dataclass(frozen=True)
class Ranked:
    """Items in an order that users of a segment share: a row a segment, (segments + 1, W), -1 behind, row 0 for the others."""

    table: Ints
    row_of: Mapping[str, int]

    @classmethod
    def of(cls, popular: Popular, most: int) -> Ranked:
        """What is popular in the segment, then with everyone, `most` in all. O(segments x most)."""
        names = sorted(popular.by_segment)
        lists = [popular.overall[:most]]
        for name in names:
            head = popular.by_segment[name][0]
            rest = popular.overall[: most + len(head)]
            lists.append(np.concatenate([head, rest[~np.isin(rest, head)]])[:most])
        lengths = np.array([len(items) for items in lists])
        table = padded(lengths, np.concatenate(lists).astype(np.int32))
        return cls(table, {name: row for row, name in enumerate(names, start=1)})

    def for_users(self, segments: Sequence[str | None]) -> Proposed:
        """(U,) -> (U, W)."""
        rows = [self.row_of.get(segment, 0) if segment is not None else 0 for segment in segments]
        return Proposed.of(self.table[rows])


@dataclass(frozen=True)
class Neighbours:
    """The items most often taken together with each: `items` (n_items, K), -1 behind, and how alike, `weights` (n_items, K)."""

    items: Ints
    weights: Floats

    def for_users(self, latest: Ints) -> Proposed:
        """Latest items (U, L), -1 for none -> their neighbours, by the sum of the weights: O(U L K log(U L K)).

        What brought an item is that of the latest ones with the greatest weight, the last of them where they are equal.
        """
        rows, places = np.nonzero((latest != NO_ITEM) & (latest < len(self.items)))
        rows, places = rows[::-1], places[::-1]  # the last first
        own = latest[rows, places]
        width = self.items.shape[1]
        others, weights = self.items[own].ravel(), self.weights[own].ravel()
        there = others != NO_ITEM
        return ranked(
            np.repeat(rows, width)[there], others[there], weights[there], np.repeat(own, width)[there], len(latest)
        )


def repeated(own: Ragged, times: Ragged, half_life: float) -> Proposed:
    """Users' own items, by how often and how lately: each event counts 2 ** -(age / half_life). O(events log events).

    Ages are taken from the user's last event: from any other moment all weights are multiplied alike, so the order is that of
    every later date, to the last tie, and an old history does not sink to zeros.

    Args:
        own: the items of their events, `(indptr (U+1,), item_idx)`.
        times: of the events, likewise, seconds.
        half_life: seconds.
    """
    rows = np.repeat(np.arange(len(own[0]) - 1), np.diff(own[0]))
    latest = np.full(len(own[0]) - 1, np.iinfo(np.int64).min)
    np.maximum.at(latest, rows, times[1])
    weights = np.exp2((times[1] - latest[rows]) / half_life)
    return Proposed.of(ranked(rows, own[1], weights, np.full_like(own[1], NO_ITEM), len(own[0]) - 1).items)


def ranked(
    rows: npt.NDArray[Any], items: npt.NDArray[Any], weights: npt.NDArray[Any], because: npt.NDArray[Any], users: int
) -> Proposed:
    """Entries (E,) -> each row's different items by the sum of their weights, ties to the lower item: O(E log E).

    What brought an item is the `because` of its heaviest entry, the first of equals.
    """
    if not len(rows):
        return Proposed.of(np.empty((users, 0), np.int32))
    keys = rows.astype(np.int64) * (int(items.max()) + 1) + items
    order = np.lexsort((-weights, keys))
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    sums = np.add.reduceat(weights[order].astype(np.float64), starts)
    heaviest = order[starts]
    best_first = np.lexsort((items[heaviest], -sums, rows[heaviest]))
    chosen = heaviest[best_first]
    lengths = np.bincount(rows[chosen], minlength=users)
    return Proposed(*(padded(lengths, values[chosen].astype(np.int32)) for values in (items, because)))


def joined(proposed: Mapping[int, Proposed], users: int) -> Joined:
    """What sources, by their bits, propose for a block -> each item once, with the bits of all that proposed it.

    O(U W log(U W)) over all they propose, O(U W) where that is one source, none of which proposes an item twice.
    """
    parts = list(proposed.values())
    if len(parts) == 1:
        (bit,), there = proposed, parts[0].items != NO_ITEM
        items, because = parts[0].first(there, int(there.sum(axis=1).max(initial=0)))
        return Joined(items, np.where(items != NO_ITEM, bit, NO_ITEM).astype(np.int32), because)
    items = np.concatenate([np.empty((users, 0), np.int32), *(part.items for part in parts)], axis=1)
    because = np.concatenate([np.empty((users, 0), np.int32), *(part.because for part in parts)], axis=1)
    bit_of = np.repeat(list(proposed), [part.items.shape[1] for part in parts]).astype(np.int32)
    rows, columns = np.nonzero(items != NO_ITEM)
    found, brought = items[rows, columns], because[rows, columns]
    keys = rows.astype(np.int64) * (int(found.max(initial=0)) + 1) + found
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    bits, brought_by = np.zeros(len(first), np.int32), np.full(len(first), NO_ITEM, np.int32)
    np.bitwise_or.at(bits, group, bit_of[columns])
    np.maximum.at(brought_by, group, brought)
    in_order = np.argsort(first)
    chosen = first[in_order]
    lengths = np.bincount(rows[chosen], minlength=users)
    return Joined(*(padded(lengths, values) for values in (found[chosen], bits[in_order], brought_by[in_order])))
