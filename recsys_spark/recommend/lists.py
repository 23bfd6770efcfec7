"""The lists themselves: scored by the model in blocks, filled from what is popular, N rows a user without gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql.types import FloatType, IntegerType, StringType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark.models.users import Users
from recsys_spark.recommend.fallback import Popular
from recsys_spark.recommend.histories import users_of
from recsys_spark.recommend.scorer import ModelScorer, load_scorer
from recsys_spark.transform import Transformer

BY_MODEL: Final = "model"
REPEAT: Final = "repeat"
POPULAR_SEGMENT: Final = "popular_segment"
POPULAR: Final = "popular"
SEEN: Final = "seen"

REASONS: Final = {
    BY_MODEL: "predicted for this user",
    REPEAT: "had before, and likely again",
    POPULAR_SEGMENT: "popular with people like this user",
    POPULAR: "popular with everyone",
}

Ints = npt.NDArray[np.int32]

_LISTS = StructType(
    [
        StructField(c.USER_IDX, IntegerType()),
        StructField(c.RANK, IntegerType()),
        StructField(c.ITEM_IDX, IntegerType()),
        StructField(c.SCORE, FloatType()),
        StructField(c.REASON_CODE, StringType()),
    ]
)


@dataclass(frozen=True)
class Policy:
    """What a list is made by; small, and shipped to every task."""

    artifact: str
    n: int
    exclude_seen: bool
    block_users: int


def top_n_lists(policy: Policy, popular: Broadcast[Popular]) -> Transformer:
    """`(user_idx, segment, seen array<int>, items array<int>)` -> `(user_idx, rank, item_idx, score, reason_code)`, N rows
    a user; `seen` is all that the user had, `items` the latest of it in order, for models that read that, and `context`, if
    there, what the user is scored in.

    Users whom the model knows get its best items; the others, and places that it cannot fill, what is popular in their
    segment, then overall. Where a user has had nearly everything, seen items fill the rest. O(users x items) scores in
    blocks of `block_users`; memory is the model and one block.
    """

    def to_lists(users: DataFrame) -> DataFrame:
        known = [name for name in (c.USER_IDX, c.SEGMENT, SEEN, c.ITEMS, c.CONTEXT) if name in users.columns]
        return users.select(known).mapInArrow(_lister(policy, popular), _LISTS)

    return to_lists


def _lister(
    policy: Policy, popular: Broadcast[Popular]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, policy.block_users):
                yield _block_of_lists(batch.slice(start, policy.block_users), policy, popular.value)

    return make


def _block_of_lists(block: pa.RecordBatch, policy: Policy, popular: Popular) -> pa.RecordBatch:
    scorer = load_scorer(policy.artifact)
    users = users_of(block, scorer.history, scorer.n_items)
    segments = block.column(c.SEGMENT).to_pylist()
    seen_lists = block.column(SEEN)
    indptr = np.concatenate([[0], np.cumsum(seen_lists.value_lengths().to_numpy())])
    seen = seen_lists.flatten().to_numpy()
    items, scores = _best_of_model(scorer, users, indptr, seen, policy)
    reasons = np.full(items.shape, BY_MODEL, dtype=object)
    for row, segment in enumerate(segments):
        own = seen[indptr[row] : indptr[row + 1]]
        if not policy.exclude_seen:
            reasons[row, np.isin(items[row], own)] = REPEAT
        if items[row, -1] < 0:
            _fill(items[row], scores[row], reasons[row], own, segment, policy, popular)
    ranks = np.broadcast_to(np.arange(1, policy.n + 1, dtype=np.int32), items.shape)
    columns: list[Any] = [np.repeat(users.idx, policy.n), ranks.ravel(), items.ravel(), scores.ravel(), reasons.ravel()]
    return pa.RecordBatch.from_arrays(
        [pa.array(values, kind) for values, kind in zip(columns, _ARROW_TYPES, strict=True)], _LISTS.names
    )


_ARROW_TYPES = (pa.int32(), pa.int32(), pa.int32(), pa.float32(), pa.string())


def _best_of_model(
    scorer: ModelScorer, users: Users, indptr: npt.NDArray[Any], seen: Ints, policy: Policy
) -> tuple[Ints, npt.NDArray[np.float32]]:
    """(U, n) items and scores, -1 where the model has nothing to say."""
    items = np.full((len(users), policy.n), -1, dtype=np.int32)
    scores = np.zeros(items.shape, dtype=np.float32)
    known = np.flatnonzero(scorer.knows(users))
    if len(known):
        exclude = _rows_of(indptr, seen, known) if policy.exclude_seen else None
        width = min(policy.n, scorer.n_items)
        items[known, :width], scores[known, :width] = scorer.top_n(users[known], width, exclude)
    return items, scores


def _rows_of(indptr: npt.NDArray[Any], values: Ints, rows: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Ints]:
    """Some rows of a ragged array, as one."""
    chosen = [values[indptr[row] : indptr[row + 1]] for row in rows]
    return np.concatenate([[0], np.cumsum([len(row) for row in chosen])]), np.concatenate(chosen).astype(np.int32)


def _fill(
    items: Ints, scores: Any, reasons: Any, seen: Ints, segment: str | None, policy: Policy, popular: Popular
) -> None:
    """Fill a list's empty places, in place; every item stands in it once."""
    heads = popular.by_segment.get(segment) if segment is not None else None
    sources = [(POPULAR_SEGMENT, *heads)] if heads is not None else []
    sources.append((POPULAR, popular.overall, popular.shares))
    barred = set(seen.tolist()) if policy.exclude_seen else set()
    taken = set(items[items >= 0].tolist())
    place = int((items >= 0).sum())
    for allowed_seen in (False, True):
        for reason, ranked, shares in sources:
            for item, share in zip(ranked, shares, strict=True):
                if place == policy.n:
                    return
                if int(item) in taken or (int(item) in barred and not allowed_seen):
                    continue
                items[place], scores[place] = item, share
                reasons[place] = REPEAT if int(item) in barred else reason
                taken.add(int(item))
                place += 1
