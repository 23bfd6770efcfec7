"""The last step of a list: a category's cap, a group's least share, and exploration, place by place. Numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark.hashing import hash_of, uniform

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

_EXPLORATION: Final = 0x6578706C  # its draws are no others of the same seed
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Limits:
    """What a list must keep to; all of it may be off."""

    weights: Doubles  # (n,) what a place gives to its item's group
    cap: int = 0  # the most items of one category; 0: no cap
    least: tuple[float, ...] = ()  # least share of the weights, for each of the groups
    whole: bool = False  # the weights are places: all 1
    epsilon: float = 0.0  # how often a place of the last `explored` is drawn
    explored: int = 0


@dataclass(frozen=True)
class Dice:
    """Draws for users (U,), each by a hash of the seed, the day, the user and the place."""

    seed: int
    day: int
    user_idx: npt.NDArray[Any]

    def throw(self, place: int, nth: int) -> Doubles:
        """Uniform in [0, 1), (U,)."""
        return uniform(hash_of(_EXPLORATION, self.seed, self.day, self.user_idx, place, nth))


def exposure_weights(n: int) -> Doubles:
    """What each place is worth: 1 / log2(1 + p), the discount of DCG (Singh and Joachims, 2018, "Fairness of exposure")."""
    weights: Doubles = 1.0 / np.log2(np.arange(n) + 2.0)
    return weights


def fill(there: Bools, category: Ints, groups: Ints, limits: Limits, dice: Dice) -> tuple[Ints, Doubles]:
    """Places (U, n) of the candidates that make the lists, -1 beyond the last, and the probability of each, 1 beyond.

    A place takes the first candidate, in the order given, of those *allowed* there:

    1. candidates not yet in the list whose category has not reached the cap; where none is left, any not yet in the list,
       so that a cap gives way only at the end of a list that could not be filled otherwise;
    2. of these only members of groups that are *behind*, if a group is and has such members. A group with least share s is
       behind at place p if what it has would, with this place, not go beyond s of the places up to p: the pace of
       DetGreedy (Geyik, Ambler and Kenthapadi, 2019, "Fairness-aware ranking in search and recommendation systems"). Or,
       so that the share of the whole list is kept and not rounded down, if the groups still lack more than the places
       after p can give.

    At each of the last `explored` places, with probability epsilon, the item is drawn evenly from all m that are allowed.
    Given the places before, an item's probability at its place is then

        epsilon / m, and for the first of those allowed 1 - epsilon + epsilon / m; 1 where nothing is drawn.

    O(n C) a user. With one group, or shares of places that sum to at most the places when each is rounded up, every list
    has the least shares if its allowed candidates suffice; with several groups and weighted places it may miss one by less
    than a place's weight for each group.

    Args:
        there: (U, C) whether there is a candidate, in the order of preference.
        category: (U, C) codes, -1 for unknown, which no cap holds.
        groups: (U, C) places in `limits.least`, -1 for none of them.
    """
    lists = _Lists(there, category, groups, limits)
    for place in range(len(limits.weights)):
        allowed = lists.allowed(place)
        if limits.epsilon > 0.0 and place >= len(limits.weights) - limits.explored:
            chosen, chances = _explored(allowed, limits.epsilon, dice, place)
            lists.probability[:, place] = chances
        else:
            chosen = allowed.argmax(axis=1)
        lists.put(place, chosen, allowed)
    return lists.picked, lists.probability


def _explored(allowed: Bools, epsilon: float, dice: Dice, place: int) -> tuple[npt.NDArray[Any], Doubles]:
    first, many = allowed.argmax(axis=1), np.count_nonzero(allowed, axis=1)
    chosen = first.copy()
    drawing = np.flatnonzero((dice.throw(place, 0) < epsilon) & (many > 0))
    nth = (dice.throw(place, 1)[drawing] * many[drawing]).astype(np.int64)
    chosen[drawing] = (np.cumsum(allowed[drawing], axis=1) > nth[:, np.newaxis]).argmax(axis=1)
    evenly = epsilon / np.maximum(many, 1)
    chances = np.minimum(np.where(chosen == first, 1.0 - epsilon, 0.0) + evenly, 1.0)
    return chosen, np.where(many > 0, chances, 1.0)


class _Lists:
    """Lists in the making: what stands in them, what is still open, what the groups have had."""

    def __init__(self, there: Bools, category: Ints, groups: Ints, limits: Limits) -> None:
        users, n = len(there), len(limits.weights)
        self._rows, self._limits, self._category, self._groups = np.arange(users), limits, category, groups
        self._left, self._open = there.copy(), there.copy()
        self._members = [groups == group for group in range(len(limits.least))]
        self._least = np.array(limits.least)
        self._upto = np.cumsum(limits.weights)
        self._given = np.zeros((users, len(limits.least)))
        self._categories = np.full((users, n), -1, np.int32)
        self.picked = np.full((users, n), -1, np.int32)
        self.probability = np.ones((users, n))

    def allowed(self, place: int) -> Bools:
        """(U, C); no row of it is to be written to."""
        allowed = self._open
        if self._limits.cap and not (some := allowed.any(axis=1)).all():
            allowed = np.where(some[:, np.newaxis], allowed, self._left)
        if not self._members:
            return allowed
        behind = self._behind(place)
        late = np.flatnonzero(behind.any(axis=1))
        if len(late):
            of_groups = np.zeros((len(late), allowed.shape[1]), bool)
            for group, members in enumerate(self._members):
                of_groups |= members[late] & behind[late, group][:, np.newaxis]
            of_groups &= allowed[late]
            some = of_groups.any(axis=1)
            allowed = allowed.copy()
            allowed[late[some]] = of_groups[some]
        return allowed

    def _behind(self, place: int) -> Bools:
        """(U, groups)."""
        whole, rest = self._upto[-1], self._upto[-1] - self._upto[place]
        lacking = np.maximum(self._least * whole - self._given, 0.0)
        if self._limits.whole:
            lacking = np.ceil(lacking - _ROUNDING)
        no_time = lacking.sum(axis=1, keepdims=True) > rest + _ROUNDING
        off_pace = self._given + self._limits.weights[place] <= self._least * self._upto[place] + _ROUNDING
        behind: Bools = (off_pace | (no_time & (lacking > _ROUNDING))) & (self._least > 0.0)
        return behind

    def put(self, place: int, chosen: npt.NDArray[Any], allowed: Bools) -> None:
        rows, found = self._rows, allowed[self._rows, chosen]
        self.picked[:, place] = np.where(found, chosen, -1)
        self._left[rows, chosen] = self._open[rows, chosen] = False
        for group in range(len(self._members)):
            own = found & (self._groups[rows, chosen] == group)
            self._given[:, group] += np.where(own, self._limits.weights[place], 0.0)
        if self._limits.cap:
            own = np.where(found, self._category[rows, chosen], -1)
            self._categories[:, place] = own
            many = np.count_nonzero(self._categories[:, : place + 1] == own[:, np.newaxis], axis=1)
            full = np.flatnonzero((own >= 0) & (many == self._limits.cap))
            self._open[full] &= self._category[full] != own[full, np.newaxis]
