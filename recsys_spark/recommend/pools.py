"""What a user's list is chosen from: scored by the model, best first, with where each item came from. Numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recsys_spark import columns as c
from recsys_spark.models.selection import Floats, Ints
from recsys_spark.ragged import NO_ITEM, padded
from recsys_spark.recommend.barring import Bools, column_of, ragged_of
from recsys_spark.recommend.blocks import Block, best_by
from recsys_spark.recommend.histories import users_of
from recsys_spark.recommend.proposals import Joined
from recsys_spark.recommend.reasons import BITS, CO_OCCURRENCE, MODEL, POPULAR, REPEAT, RETRIEVER
from recsys_spark.recommend.scorer import ModelScorer
from recsys_spark.recommend.sources import Sources, candidates_of
from recsys_spark.recommend.tally import SCORING, UNKNOWN, Tally

_OWN: Final = BITS[RETRIEVER] | BITS[CO_OCCURRENCE] | BITS[REPEAT]  # sources that go by what the user had


@dataclass(frozen=True)
class Sigmoid:
    """Scores as probabilities, 1 / (1 + exp(-(slope s + shift))), in the order of the scores: see `calibration.py`."""

    slope: float
    shift: float

    def __call__(self, scores: Floats) -> Floats:
        """Of any shape."""
        with np.errstate(over="ignore"):
            chances = 1.0 / (1.0 + np.exp(-(self.slope * scores.astype(np.float64) + self.shift)))
        probabilities: Floats = chances.astype(np.float32)
        return probabilities


class Pool(NamedTuple):
    """Rows (U, C), best first, -1 behind: items and their scores, the sources by bits, the items that brought them.

    `known` (U,): whose scores are the model's.
    """

    items: Ints
    scores: Floats
    bits: Ints
    because: Ints
    known: Bools

    def calibrated(self, sigmoid: Sigmoid) -> Floats:
        """The scores, those of the model as probabilities."""
        return np.where(self.known[:, np.newaxis], sigmoid(self.scores), self.scores)

    def origins(self, items: Ints) -> tuple[Ints, Ints]:
        """Bits and because of items (U, n) chosen from the rows, 0 and -1 for -1. O(U (C + n) log C)."""
        if not self.items.shape[1]:
            return np.zeros_like(items), np.full_like(items, NO_ITEM)
        step = int(self.items.max()) + 2
        base = np.arange(len(self.items), dtype=np.int64)[:, np.newaxis] * step
        order = np.argsort(self.items, axis=1, kind="stable")
        keys = (np.take_along_axis(self.items, order, axis=1) + base).ravel()
        found = np.searchsorted(keys, (np.maximum(items, 0) + base).ravel()).reshape(items.shape)
        places = np.take_along_axis(order, found % self.items.shape[1], axis=1)
        bits, because = (np.take_along_axis(each, places, axis=1) for each in (self.bits, self.because))
        return np.where(items >= 0, bits, 0), np.where(items >= 0, because, NO_ITEM)


def whole_catalogue(scorer: ModelScorer, block: Block, most: int, tally: Tally) -> Pool:
    """The model's `most` best of all items. O(U n_items) scores."""
    items, scores = best_by(scorer, block, most)
    found = (items >= 0).sum(axis=1)
    tally.add(SCORING, MODEL, np.where(found, scorer.n_items, 0), found)
    bits = np.where(items >= 0, BITS[MODEL], 0).astype(np.int32)
    return Pool(items, scores, bits, np.full_like(items, NO_ITEM), np.ones(len(items), np.bool_))


def of_candidates(scorer: ModelScorer, block: Block, sources: Sources, tally: Tally) -> Pool:
    """The candidates, those of the batch or else proposed now, in the order of the model's scores. O(U C) scores.

    What is newer than the model is left out. Users whom the model does not know keep the order of the sources, with scores
    1, 1/2, 1/3, ..., and what no source took from their own history is marked as popular: it is fallback.
    """
    found = _joined(block, sources, tally)
    users = users_of(block.batch, scorer.history, scorer.n_items)
    scores = np.full(found.items.shape, -np.inf, np.float32)
    known, width = scorer.knows(users), found.items.shape[1]
    if known.any() and width:
        can = (found.items[known] >= 0) & (found.items[known] < scorer.n_items)
        scored = scorer.scores(users[known], np.where(can, found.items[known], 0))
        scores[known] = np.where(can, scored, -np.inf)
    in_order = np.broadcast_to(1.0 / np.arange(1, width + 1), scores[~known].shape)
    scores[~known] = np.where(found.items[~known] >= 0, in_order, -np.inf)
    order = np.lexsort((found.items, -scores), axis=1)
    for_anyone = ~known[:, np.newaxis] & (found.bits & _OWN == 0)
    marked = found._replace(bits=np.where(for_anyone, found.bits | BITS[POPULAR], found.bits))
    items, bits, because = (np.take_along_axis(each, order, axis=1) for each in marked)
    best = np.take_along_axis(scores, order, axis=1)
    items = np.where(np.isneginf(best), NO_ITEM, items)
    for step, own in ((MODEL, known), (UNKNOWN, ~known)):
        came, stayed = ((of >= 0).sum(axis=1) for of in (found.items, items))
        tally.add(SCORING, step, came[own], stayed[own])
    return Pool(items, best, bits, because, known)


def _joined(block: Block, sources: Sources, tally: Tally) -> Joined:
    column = column_of(block.batch, c.CANDIDATES)
    if column is None:
        return candidates_of(block, sources, tally)
    lists = [ragged_of(block.batch.column(name)) for name in (c.CANDIDATES, c.SOURCES, c.BECAUSE)]
    return Joined(*(padded(np.diff(indptr), values) for indptr, values in lists))


def reasons_of(bits: Ints, order: Sequence[str]) -> npt.NDArray[np.object_]:
    """Each place's reason: the first source in `order` that is among its bits, "" for none."""
    reasons = np.full(bits.shape, "", dtype=object)
    for name in reversed(order):
        reasons[(bits & BITS[name]) != 0] = name
    return reasons


def reason_items(items: Ints, because: Ints, reasons: npt.NDArray[np.object_]) -> Ints:
    """The item that each reason speaks of, -1 for none."""
    told = np.where(reasons == REPEAT, items, NO_ITEM)
    return np.where(reasons == CO_OCCURRENCE, because, told).astype(np.int32)
