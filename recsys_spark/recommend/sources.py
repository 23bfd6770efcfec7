"""What proposes candidates: a quota each, for a block of users. Neither Spark nor TensorFlow by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys_spark import columns as c
from recsys_spark.models.selection import Ints
from recsys_spark.ragged import NO_ITEM
from recsys_spark.recommend import approximate
from recsys_spark.recommend.barring import Longs, ragged_of
from recsys_spark.recommend.blocks import Block, best_by
from recsys_spark.recommend.histories import users_of
from recsys_spark.recommend.proposals import Joined, Neighbours, Proposed, Ranked, joined, repeated
from recsys_spark.recommend.reasons import BITS, CO_OCCURRENCE, MODEL, NEW_ITEMS, RECENT_POPULAR, REPEAT, RETRIEVER
from recsys_spark.recommend.scorer import ModelScorer, load_scorer
from recsys_spark.recommend.tally import CANDIDATES, FILTERS, JOINED, Tally

_DEPTH = (
    4  # a list that users share is this many quotas long: what is left of it, once the barred is out, fills the quota
)
_SECONDS_A_DAY = 86400


@dataclass(frozen=True)
class Sources:
    """What candidates are proposed from; item-sized, and broadcast.

    `quotas` are by source, the strongest reason first. The others are those of the sources that are among them.
    """

    quotas: Mapping[str, int]
    model: str = ""  # where the ranking model lies
    retriever: str = ""  # where the model lies that retrieves ...
    index: str = ""  # ... and its approximate index, empty for exact
    probed: float = 1.0  # share of its lists that are looked through
    rescored: int = 8  # times the items asked for that it compares exactly
    latest: int = 0  # items of the user that bring others
    neighbours: Neighbours | None = None
    recent: Ranked | None = None
    new: Ranked | None = None
    half_life_days: float = 1.0


def candidates_of(block: Block, sources: Sources, tally: Tally) -> Joined:
    """Each user's candidates, none of them barred, each with the sources that proposed it.

    An item that the user has seen comes from `repeat` alone, where seen items are left out. O(U sum of quotas) memory,
    beside what `Sources` holds and, for models, a block's scores of the catalogue.

    Args:
        tally: is told what each source came upon, what each filter took of that, and what was proposed.
    """
    proposed = {BITS[name]: _proposed(name, quota, block, sources, tally) for name, quota in sources.quotas.items()}
    found = joined(proposed, block.users)
    several = sum((_there(one.items) for one in proposed.values()), np.zeros(block.users, np.int64))
    tally.add(CANDIDATES, JOINED, several, _there(found.items))
    return found


def depth(quota: int) -> int:
    """How many items a list needs that users share."""
    return _DEPTH * quota


def _proposed(name: str, quota: int, block: Block, sources: Sources, tally: Tally) -> Proposed:
    if name == MODEL:
        return _best(name, load_scorer(sources.model), quota, block, tally)
    if name == RETRIEVER:
        return retrieved(quota, block, sources, tally)
    if name == REPEAT:
        own, times = (ragged_of(block.batch.column(column)) for column in (c.ITEMS, c.TIMES))
        again = repeated(own, times, sources.half_life_days * _SECONDS_A_DAY)
        return _first(name, again, quota, block, tally, seen_too=True)
    shared = {RECENT_POPULAR: sources.recent, NEW_ITEMS: sources.new}.get(name)
    if name == CO_OCCURRENCE and sources.neighbours is not None:
        latest = users_of(block.batch, sources.latest, len(sources.neighbours.items)).history
        ranked = sources.neighbours.for_users(latest)
    elif shared is not None:
        ranked = shared.for_users(block.segments)
    else:
        raise ValueError(f"source {name} has nothing to propose from")
    return _first(name, ranked, quota, block, tally)


def retrieved(quota: int, block: Block, sources: Sources, tally: Tally) -> Proposed:
    """The exact best, or those that the index finds; it is asked for more than the quota, by what is barred of the block."""
    scorer: Any = load_scorer(sources.retriever)  # one that has `queries`
    if not sources.index:
        return _best(RETRIEVER, scorer, quota, block, tally)
    users = users_of(block.batch, scorer.history, scorer.n_items)
    known = np.flatnonzero(scorer.knows(users))
    items = np.full((block.users, depth(quota)), -1, np.int32)
    if len(known):
        barred = block.barred.lists(known)
        most = quota + (0 if barred is None else int(np.diff(barred[0]).max()))
        most = min(most, depth(quota), scorer.n_items)
        effort = sources.probed, sources.rescored
        items[known, :most] = approximate.nearest(sources.index, scorer.queries(users[known]), most, *effort)
    return _first(RETRIEVER, Proposed.of(items), quota, block, tally)


def _best(name: str, scorer: ModelScorer, quota: int, block: Block, tally: Tally) -> Proposed:
    """The best of the whole catalogue, of which what is barred is masked before it is ranked."""
    items = best_by(scorer, block, quota)[0]
    found = _there(items)
    tally.add(CANDIDATES, name, np.where(found, scorer.n_items, 0), found)
    return Proposed.of(items)


def _first(name: str, ranked: Proposed, quota: int, block: Block, tally: Tally, seen_too: bool = False) -> Proposed:
    """The first that nothing bars, `quota` of them; what stands behind the last was not come upon."""
    allowed = block.barred.allows(ranked.items, seen_too)
    upon = (ranked.items != NO_ITEM) & (np.cumsum(allowed, axis=1) - allowed < quota)
    many, taken = upon.sum(axis=1), (upon & allowed).sum(axis=1)
    tally.add(CANDIDATES, name, many, taken)
    rows, columns = np.nonzero(upon & ~allowed)
    for barred_by, barred in block.barred.why(rows, ranked.items[rows, columns], seen_too).items():
        tally.add(FILTERS, barred_by, many, many - np.bincount(rows[barred], minlength=block.users))
    return ranked.first(allowed, quota)


def _there(items: Ints) -> Longs:
    there: Longs = (items != NO_ITEM).sum(axis=1)
    return there
