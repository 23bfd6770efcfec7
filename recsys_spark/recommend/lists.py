"""The lists themselves: chosen from what the model scored, filled from what is popular, N rows a user without gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DoubleType, FloatType, IntegerType, StringType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark.models.selection import Floats, Ints
from recsys_spark.ragged import NO_ITEM
from recsys_spark.recommend.barring import Catalogue, within
from recsys_spark.recommend.blocks import BLOCKED, RULES, SEEN, Block, blocks
from recsys_spark.recommend.counts import Counts
from recsys_spark.recommend.fallback import Popular
from recsys_spark.recommend.item_facts import with_vectors
from recsys_spark.recommend.pools import Pool, Sigmoid, of_candidates, reason_items, reasons_of, whole_catalogue
from recsys_spark.recommend.reasons import BITS, MODEL, POPULAR, POPULAR_SEGMENT, REPEAT
from recsys_spark.recommend.rerank import ItemFacts, RerankPolicy, Scored, rerank
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.recommend.sources import Sources
from recsys_spark.recommend.tally import BEFORE, POOL, PUBLISHED, RERANKING, Tally
from recsys_spark.transform import Transformer

REASON_ITEM: Final = "reason_item_idx"
_READ: Final = (
    c.USER_IDX, c.SEGMENT, SEEN, c.ITEMS, c.TIMES, c.CONTEXT, RULES, BLOCKED, c.CANDIDATES, c.SOURCES, c.BECAUSE
)  # fmt: skip

Doubles = npt.NDArray[np.float64]

_LISTS = StructType(
    [
        StructField(c.USER_IDX, IntegerType()),
        StructField(c.RANK, IntegerType()),
        StructField(c.ITEM_IDX, IntegerType()),
        StructField(c.SCORE, FloatType()),
        StructField(c.REASON_CODE, StringType()),
        StructField(REASON_ITEM, IntegerType()),  # -1 for none
        StructField(c.SOURCES, IntegerType()),  # of `reasons.BITS`
        StructField(c.PROPENSITY, DoubleType()),
    ]
)


@dataclass(frozen=True)
class Policy:
    """What a list is made by; small, and shipped to every task."""

    artifact: str
    n: int
    exclude_seen: bool
    block_users: int
    calibration: Sigmoid | None = None
    rerank: RerankPolicy | None = None

    @property
    def pool(self) -> int:
        """How many of a user's best a list is made of."""
        return self.n if self.rerank is None else self.rerank.pool(self.n)


@dataclass
class _Lists:
    """The lists of a block, rows (U, n), -1 where a place is still empty."""

    items: Ints
    scores: Floats
    propensity: Doubles
    reasons: npt.NDArray[np.object_]
    reason_items: Ints
    bits: Ints


def top_n_lists(
    policy: Policy,
    popular: Broadcast[Popular],
    known: Broadcast[Catalogue] | None = None,
    sources: Broadcast[Sources] | None = None,
    facts: Broadcast[ItemFacts] | None = None,
    counts: Counts | None = None,
) -> Transformer:
    """`(user_idx, segment, seen array<int>, items array<int>)` -> lists in indices, N rows a user; `seen` is all that the
    user had, `items` the latest of it in order, for models that read that, and `context`, if there, what the user is
    scored in; `rules` and `blocked` are as `filters.with_filters` makes them, `candidates` as `candidates.proposals`.

    Users whom the model knows get its best items, of the candidates where there are sources; the others, and places that
    it cannot fill, what is popular in their segment, then overall. Where a user has had nearly everything, seen items fill
    the rest. What `known`, `rules` and `blocked` bar is in no list, which is shorter if too little is left. O(users x
    items) scores, or O(users x candidates), in blocks of `block_users`; memory is the model, what is broadcast, and one
    block. `counts` are told of each step.
    """

    def to_lists(users: DataFrame) -> DataFrame:
        return users.select([name for name in _READ if name in users.columns]).mapInArrow(
            _lister(policy, popular, known, sources, facts, counts), _LISTS
        )

    return to_lists


def _lister(
    policy: Policy,
    popular: Broadcast[Popular],
    known: Broadcast[Catalogue] | None = None,
    sources: Broadcast[Sources] | None = None,
    facts: Broadcast[ItemFacts] | None = None,
    counts: Counts | None = None,
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        catalogue = Catalogue.open() if known is None else known.value
        proposing, of_items = None if sources is None else sources.value, None if facts is None else facts.value
        if of_items is not None and policy.rerank is not None:
            of_items = with_vectors(of_items, policy.artifact)
        tally = Tally() if counts is None else counts.tally()
        for block in blocks(batches, policy.block_users, catalogue, policy.exclude_seen):
            yield _block_of_lists(block, policy, popular.value, proposing, of_items, tally)
        if counts is not None:
            counts.put("lists", tally)

    return make


def _block_of_lists(
    block: Block,
    policy: Policy,
    popular: Popular,
    sources: Sources | None,
    facts: ItemFacts | None,
    tally: Tally,
) -> pa.RecordBatch:
    scorer = load_scorer(policy.artifact)
    pool = (
        whole_catalogue(scorer, block, policy.pool, tally)
        if sources is None
        else of_candidates(scorer, block, sources, tally)
    )
    scores = pool.scores if policy.calibration is None else pool.calibrated(policy.calibration)
    shown = best_first(block.batch.column(c.USER_IDX).to_numpy(), pool, scores, policy, facts)
    if policy.rerank is not None:
        tally.add(RERANKING, POOL, (pool.items[:, : policy.pool] >= 0).sum(axis=1), (shown[0] >= 0).sum(axis=1))
    lists = _listed(pool, *shown, (MODEL,) if sources is None else sources.quotas)
    if sources is None and not policy.exclude_seen:
        again = within(lists.items, block.seen)
        lists.reasons[again], lists.reason_items[again] = REPEAT, lists.items[again]
    for row in np.flatnonzero(lists.items[:, -1] < 0):
        _fill(lists, int(row), block, policy, popular)
    if facts is not None:
        tally.show(BEFORE, pool.items[:, : policy.n], facts.group)
        tally.show(PUBLISHED, lists.items, facts.group)
    tally.end_block()
    return _rows(block, lists)


def best_first(
    user_idx: Ints, pool: Pool, scores: Floats, policy: Policy, facts: ItemFacts | None
) -> tuple[Ints, Floats, Doubles]:
    """A pool, best first, and its scores as they are shown (U, C) -> the n items that are shown, their scores, and how
    likely each was shown by the policy: (U, n) each. Without re-ranking they are the first n, certainly.

    What is re-ranked by is the pool's own score, calibrated or not.
    """
    chosen = np.full((len(pool.items), policy.n), NO_ITEM, np.int32)
    best = np.zeros(chosen.shape, np.float32)
    if policy.rerank is not None and facts is not None and pool.items.shape[1]:
        ranked = rerank(Scored(user_idx, pool.items, pool.scores), facts, policy.rerank, policy.n)
        of_places = np.take_along_axis(scores, np.maximum(ranked.places, 0), axis=1)
        return ranked.items, np.where(ranked.items >= 0, of_places, best), ranked.propensity
    width = min(policy.n, pool.items.shape[1])
    chosen[:, :width], best[:, :width] = pool.items[:, :width], scores[:, :width]
    return chosen, best, np.ones(chosen.shape)


def _listed(pool: Pool, items: Ints, scores: Floats, propensity: Doubles, order: Iterable[str]) -> _Lists:
    """What was chosen, with where each item came from; the first source in `order` is its reason."""
    bits, because = pool.origins(items)
    reasons = reasons_of(bits, tuple(order))
    return _Lists(items, scores, propensity, reasons, reason_items(items, because, reasons), bits)


def _fill(lists: _Lists, row: int, block: Block, policy: Policy, popular: Popular) -> None:
    """Fill a list's empty places, in place; every item stands in it once, and none that the user may never have."""
    segment, (indptr, seen) = block.segments[row], block.seen
    heads = popular.by_segment.get(segment) if segment is not None else None
    sources = [(POPULAR_SEGMENT, *heads)] if heads is not None else []
    sources.append((POPULAR, popular.overall, popular.shares))
    had = set(seen[indptr[row] : indptr[row + 1]].tolist()) if policy.exclude_seen else set()
    items = lists.items[row]
    taken = set(items[items >= 0].tolist())
    place = int((items >= 0).sum())
    for allowed_seen in (False, True):
        for reason, ranked, shares in sources:
            # made to numbers one by one: a few of a catalogue are enough
            for item, share in zip(map(int, ranked), shares, strict=True):
                if place == policy.n:
                    return
                if item in taken or (item in had and not allowed_seen) or not block.barred.allows_of(row, item):
                    continue
                items[place], lists.scores[row, place] = item, share
                lists.propensity[row, place], lists.bits[row, place] = 1.0, BITS[POPULAR]
                lists.reasons[row, place] = REPEAT if item in had else reason
                lists.reason_items[row, place] = item if item in had else NO_ITEM
                taken.add(item)
                place += 1


def _rows(block: Block, lists: _Lists) -> pa.RecordBatch:
    """One row a place that is filled."""
    filled = lists.items >= 0
    users, places = np.nonzero(filled)
    idx = block.batch.column(c.USER_IDX).to_numpy()
    columns: list[Any] = [idx[users], places.astype(np.int32) + 1]
    ranked = (lists.items, lists.scores, lists.reasons, lists.reason_items, lists.bits, lists.propensity)
    columns += [values[filled] for values in ranked]
    arrow = to_arrow_schema(_LISTS)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, arrow, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow)
