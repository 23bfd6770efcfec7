"""Made events by the block: sessions in time order, and in each what its user chose, from counters alone.

Event number n is the same whatever is made beside it: blocks have a fixed size, sessions do not cross them,
and every draw is a hash of the seed and a counter. A block costs O(events x candidates x factors), in time
and in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_spark.events.made_population import Key, World, factors_of
from recsys_spark.events.made_time import DAY_SECONDS, Floats, Integers, moments
from recsys_spark.hashing import UInt64s, below, uniform
from recsys_spark.settings import Generate

BLOCK_EVENTS = 16_384
STORES = 24
DEVICES = ("phone", "web", "tablet")

_GAP_SECONDS = 120.0  # mean pause between two events of a session
_AWAY_SHARE = 0.2  # sessions in another store, or on another device, than the user's usual one
_STAPLES, _STAPLE_DAYS = 8, 90  # a user's staples, and how long each stays one
_WAVE_DAYS = 180  # the popularity of an item sways once in so many days

_STORE, _DEVICE, _PRICE, _PHASE = 1, 2, 3, 4  # traits of users and items

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """One block of events, in columns of one length; users and items by rank."""

    order: Integers
    user: Integers
    item: Integers
    day: Integers
    second: Integers
    purchase: Mask
    spend: Floats
    store: Integers
    device: Integers
    position: Integers


@dataclass(frozen=True)
class Sessions:
    """The sessions of a block: the counter of the event that opens each, its user and time."""

    opener: Integers
    user: Integers
    day: Integers
    second: Integers


def block_count(made: Generate) -> int:
    """How many blocks hold all the events."""
    return -(-made.events // BLOCK_EVENTS)


def make_block(world: World, block: int) -> Block:
    """The block-th block of events, oldest first."""
    first = block * BLOCK_EVENTS
    order = np.arange(first, min(first + BLOCK_EVENTS, world.made.events), dtype=np.int64)
    opens = uniform(world.hash(Key.SESSION, 0, order)) < 1.0 / world.made.session_events
    opens[0] = True
    sessions, at = _sessions(world, order[opens]), np.cumsum(opens) - 1
    user, day = sessions.user[at], sessions.day[at]
    purchase = uniform(world.hash(Key.DETAIL, 0, order)) < world.made.purchase_share
    # a purchase takes what the session viewed just before it; without such a view it is a choice of its own
    chooses = opens | ~purchase
    chooses[1:] |= purchase[:-1]
    opener = sessions.opener[at]
    items, positions = _choices(world, order[chooses], opener[chooses], user[chooses], day[chooses])
    chosen = np.cumsum(chooses) - 1
    return Block(
        order=order,
        user=user,
        item=items[chosen],
        day=day,
        second=_seconds(world, order, opens, sessions.second),
        purchase=purchase,
        spend=np.round(item_prices(world, items)[chosen] * _quantities(world, order), 2),
        store=_habits(world, sessions, _STORE, STORES)[at],
        device=_habits(world, sessions, _DEVICE, len(DEVICES))[at],
        position=np.where(purchase, 0, positions[chosen]),
    )


def item_prices(world: World, items: Integers) -> Floats:
    """Prices from 1 to 50, as many below 7 as above."""
    return np.asarray(np.round(50.0 ** uniform(world.items.private(_PRICE, items)), 2))


def home_stores(world: World, users: Integers) -> Integers:
    """The usual store of each user."""
    return _usual(world, users, _STORE, STORES)


def _sessions(world: World, opener: Integers) -> Sessions:
    # time runs with the counter: event n of N stands at quantile n / N of all time
    day, second = moments(world.made, opener / world.made.events)
    return Sessions(opener, world.users.draw(world.hash(Key.SESSION, 1, opener), day), day, second)


def _seconds(world: World, order: Integers, opens: Mask, begins: Integers) -> Integers:
    """The second of the day of each event; a session that would run past midnight begins earlier instead."""
    pause = 1.0 - np.log1p(-uniform(world.hash(Key.SESSION, 2, order))) * _GAP_SECONDS
    elapsed = np.cumsum(np.where(opens, 0.0, pause)).astype(np.int64)
    at = np.cumsum(opens) - 1
    elapsed -= elapsed[opens][at]
    lasts = np.maximum.reduceat(elapsed, np.flatnonzero(opens))
    latest = np.maximum(DAY_SECONDS - 1 - lasts, 0)
    return np.asarray(np.minimum(np.minimum(begins, latest)[at] + elapsed, DAY_SECONDS - 1))


def _choices(
    world: World, order: Integers, opener: Integers, user: Integers, day: Integers
) -> tuple[Integers, Integers]:
    """The item of each choice and its position on the shelf, from 1; 0 for a staple, which nobody showed.

    A staple is what the user would have chosen when it became one, so that it needs no memory: its choice
    hangs on the user, the slot and the slot's era alone, and is made as of the era's first day.
    """
    made = world.made
    staple = uniform(world.hash(Key.CHOICE, 0, order)) < made.repeat_share
    slot = (uniform(world.hash(Key.CHOICE, 1, order)) ** 2 * _STAPLES).astype(np.int64)
    offset = below(world.hash(Key.CHOICE, 2, user, slot), _STAPLE_DAYS)
    era = (day + offset) // _STAPLE_DAYS
    day = np.where(staple, np.maximum(era * _STAPLE_DAYS - offset, 0), day)
    keys = np.where(staple, world.hash(Key.CHOICE, 3, user, slot, era), world.hash(Key.CHOICE, 4, order))
    taste = world.users.tastes_on(user, day, made.drift, world.planted)
    mood = np.float32(made.mood) * factors_of(made.factors, world.seed, Key.CHOICE, 5, opener)
    taste = np.where(staple[:, None], taste, (taste + mood) / np.float32(np.hypot(1.0, made.mood)))
    items, positions = _choose(world, keys, taste, day, np.where(staple, 0.0, made.position_bias))
    return items, np.where(staple, 0, positions)


def _choose(
    world: World, keys: UInt64s, taste: npt.NDArray[np.float32], day: Integers, bias: Floats
) -> tuple[Integers, Integers]:
    """One of a few candidates each, drawn by popularity, chosen by taste; the item and its position, from 1.

    A softmax of `taste x match + sway - bias x log(position)`, taken by adding Gumbel noise (from a hash).
    """
    made, catalogue = world.made, world.items
    shelf = world.hash(Key.CHOICE, 6, np.arange(made.candidates), keys[:, None])
    items = catalogue.draw(shelf, day[:, None], world.planted)  # (choices, candidates)
    match = np.einsum("nf,ncf->nc", taste, catalogue.tastes(items)) / np.sqrt(made.factors)
    phase = uniform(catalogue.private(_PHASE, items)) + day[:, None] / _WAVE_DAYS
    sway = made.drift * np.cos(2 * np.pi * phase)
    noise = -np.log(-np.log(uniform(world.hash(Key.CHOICE, 7, shelf)) + 1e-300))
    utility = made.taste * match + sway + noise - bias[:, None] * np.log(np.arange(1, made.candidates + 1))
    best = np.argmax(utility, axis=1)
    return items[np.arange(len(items)), best], best + 1


def _quantities(world: World, order: Integers) -> Integers:
    luck = uniform(world.hash(Key.DETAIL, 1, order))
    return 1 + (luck < 0.25).astype(np.int64) + (luck < 0.05)


def _habits(world: World, sessions: Sessions, trait: int, choices: int) -> Integers:
    away = uniform(world.hash(Key.DETAIL, 2, trait, sessions.opener)) < _AWAY_SHARE
    elsewhere = below(world.hash(Key.DETAIL, 3, trait, sessions.opener), choices)
    return np.where(away, elsewhere, _usual(world, sessions.user, trait, choices))


def _usual(world: World, users: Integers, trait: int, choices: int) -> Integers:
    # squared, so that the first choices are more usual than the last
    return (uniform(world.users.private(trait, users)) ** 2 * choices).astype(np.int64)
