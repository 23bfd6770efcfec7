"""Who made users and items are: how often drawn, since when, of what taste. All by hash, nothing stored.

A member is known by its rank, 0 the most active user or the most popular item. Its public number is a
permutation of the rank, so that ids tell nothing of popularity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark.events.made_time import Integers
from recsys_spark.hashing import UInt64s, hash_of, uniform
from recsys_spark.settings import Generate

Taste = npt.NDArray[np.float32]

# the share of rank r is near (r + _HEAD) ** -exponent: Zipf-Mandelbrot, less extreme at its head than Zipf's
_HEAD = 10.0
_MAX_REDRAWS = 64
_YEAR_DAYS = 365.25
_QUARTER_TURN = math.pi / 2


class Key(IntEnum):
    """What a draw is for: the second part of every hash, after the seed."""

    USER = 1
    ITEM = 2
    SESSION = 3
    CHOICE = 4
    DETAIL = 5


class _Trait(IntEnum):
    """What a draw of a member is for: the third part of its hash."""

    DRAWN = 1
    FIRST_DAY = 2
    BREAK = 3
    TASTE = 4
    LATER_TASTE = 5
    PRIVATE = 6


@dataclass(frozen=True)
class Break:
    """A planted break: from `day` on, tastes and popularity have moved by `strength`."""

    day: int
    strength: float

    def shift(self, days: Integers) -> npt.NDArray[np.float64]:
        """How far tastes and popularity have moved on each day."""
        return np.where(days >= self.day, self.strength, 0.0)


@dataclass(frozen=True)
class Population:
    """The users or the items of one made world."""

    seed: int
    key: Key
    size: int
    exponent: float
    new_share: float
    days: int
    factors: int

    def draw(self, keys: UInt64s, days: Integers, planted: Break | None = None) -> Integers:
        """Members that are there on those days, drawn long-tailed: one for each key, of the keys' shape.

        A member that is not there yet is drawn again, so that those who are share its part in proportion.
        """
        days = np.broadcast_to(days, keys.shape)
        ranks = self._ranks(keys, 0, days, planted)
        absent = np.nonzero(self.first_days(ranks) > days)
        for attempt in range(1, _MAX_REDRAWS):
            if not absent[0].size:
                return ranks
            ranks[absent] = self._ranks(keys[absent], attempt, days[absent], planted)
            still = self.first_days(ranks[absent]) > days[absent]
            absent = tuple(index[still] for index in absent)
        ranks[absent] = 0  # always there
        return ranks

    def first_days(self, ranks: Integers) -> Integers:
        """The day from which each is there: 0 for most, evenly over all days for the share of new ones."""
        place = uniform(self._hash(_Trait.FIRST_DAY, ranks))
        late = (place < self.new_share) & (ranks > 0)
        return np.where(late, place / max(self.new_share, 1e-9) * self.days, 0.0).astype(np.int64)

    def numbers(self, ranks: Integers) -> Integers:
        """The public numbers, 1 to size, each once."""
        step = max(1, int(self.size * 0.618))
        while math.gcd(step, self.size) > 1:
            step += 1
        return (ranks * step) % self.size + 1

    def tastes(self, ranks: Integers) -> Taste:
        """The hidden factors, mean 0 and variance 1 each, of shape ranks' + (factors,)."""
        return factors_of(self.factors, self.seed, self.key, _Trait.TASTE, ranks)

    def tastes_on(self, ranks: Integers, days: Integers, drift: float, planted: Break | None) -> Taste:
        """Tastes that turn, as days go by, from one vector towards another, `drift` of the way a year."""
        turned = drift * days / _YEAR_DAYS + (planted.shift(days) if planted else 0.0)
        angle = (_QUARTER_TURN * turned).astype(np.float32)[..., None]
        later = factors_of(self.factors, self.seed, self.key, _Trait.LATER_TASTE, ranks)
        return np.asarray(np.cos(angle) * self.tastes(ranks) + np.sin(angle) * later, dtype=np.float32)

    def private(self, trait: int, ranks: Integers) -> UInt64s:
        """Hashes for traits of the members' own: price, home store, ..."""
        return self._hash(_Trait.PRIVATE, trait, ranks)

    def _ranks(self, keys: UInt64s, attempt: int, days: Integers, planted: Break | None) -> Integers:
        ranks = zipf(uniform(self._hash(_Trait.DRAWN, attempt, keys)), self.size, self.exponent)
        if planted is None:
            return ranks
        moved = uniform(self._hash(_Trait.BREAK, attempt, keys)) < planted.shift(days)
        return np.where(moved, self.size - 1 - ranks, ranks)

    def _hash(self, *parts: int | npt.NDArray[Any]) -> UInt64s:
        return hash_of(self.seed, self.key, *parts)


@dataclass(frozen=True)
class World:
    """All that made events follow from: the configuration and the seed."""

    made: Generate
    seed: int

    @property
    def users(self) -> Population:
        """Those who act."""
        made = self.made
        return self._population(Key.USER, made.users, made.user_exponent, made.new_user_share)

    @property
    def items(self) -> Population:
        """Those that are chosen."""
        made = self.made
        return self._population(Key.ITEM, made.items, made.item_exponent, made.new_item_share)

    @property
    def planted(self) -> Break | None:
        """The break that the configuration plants, if any."""
        made = self.made
        return None if made.drift_day is None else Break(made.drift_day, made.drift_strength)

    def hash(self, *parts: int | npt.NDArray[Any]) -> UInt64s:
        """A hash of the seed and the parts."""
        return hash_of(self.seed, *parts)

    def _population(self, key: Key, size: int, exponent: float, new_share: float) -> Population:
        return Population(self.seed, key, size, exponent, new_share, self.made.days, self.made.factors)


def zipf(shares: npt.NDArray[np.float64], size: int, exponent: float) -> Integers:
    """Uniform shares in [0, 1) as long-tailed ranks in [0, size), through the inverse of a bounded Pareto."""
    low, high, power = _HEAD, _HEAD + size, 1.0 - exponent
    if abs(power) < 1e-9:
        places = low * np.exp(shares * math.log(high / low))
    else:
        places = (low**power + shares * (high**power - low**power)) ** (1.0 / power)
    return np.asarray(np.minimum((places - low).astype(np.int64), size - 1))


def factors_of(factors: int, *parts: int | npt.NDArray[Any]) -> Taste:
    """Hidden factors of mean 0 and variance 1, eight from each hash: one from each of its bytes."""
    *shared, last = parts
    words = np.arange(-(-factors // 8))
    hashes = hash_of(*shared, words, np.asarray(last)[..., None])
    drawn = hashes.astype("<u8").view(np.uint8)[..., :factors]
    return (drawn.astype(np.float32) - np.float32(127.5)) / np.float32(73.9)
