"""Blocks of users as the lister and the candidates' sources work on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from recsys_spark import columns as c
from recsys_spark.models.selection import Floats, Ints, Ragged
from recsys_spark.ragged import NO_ITEM
from recsys_spark.recommend.barring import Barred, Catalogue, column_of, nothing_for, ragged_of
from recsys_spark.recommend.histories import users_of
from recsys_spark.recommend.scorer import ModelScorer

SEEN: Final = "seen"  # all that a user had
RULES: Final = "rules"  # a bit each rule that is about the user
BLOCKED: Final = "blocked"  # items that the user may never have


class Block(NamedTuple):
    """Users with all that is known of them; `batch` is `(user_idx, segment, seen, items, ...)`."""

    batch: pa.RecordBatch
    segments: list[str | None]
    seen: Ragged
    barred: Barred

    @property
    def users(self) -> int:
        return int(self.batch.num_rows)


def blocks(batches: Iterable[pa.RecordBatch], most: int, catalogue: Catalogue, exclude_seen: bool) -> Iterator[Block]:
    """The users of Arrow batches, `most` of them at a time."""
    for batch in batches:
        for start in range(0, batch.num_rows, most):
            part = batch.slice(start, most)
            seen = ragged_of(part.column(SEEN))
            rules, pairs = column_of(part, RULES), column_of(part, BLOCKED)
            masks = np.zeros(part.num_rows, np.int64) if rules is None else rules.to_numpy()
            blocked = nothing_for(part.num_rows) if pairs is None else ragged_of(pairs)
            barred = Barred(catalogue, masks, blocked, seen if exclude_seen else None)
            yield Block(part, part.column(c.SEGMENT).to_pylist(), seen, barred)


def best_by(scorer: ModelScorer, block: Block, most: int) -> tuple[Ints, Floats]:
    """The best that a model finds in the whole catalogue: (U, most) items and scores, -1 where it has nothing to say."""
    users = users_of(block.batch, scorer.history, scorer.n_items)
    items = np.full((len(users), most), NO_ITEM, dtype=np.int32)
    scores = np.zeros(items.shape, dtype=np.float32)
    known = np.flatnonzero(scorer.knows(users))
    if len(known):
        width = min(most, scorer.n_items)
        exclude = block.barred.lists(known)
        items[known, :width], scores[known, :width] = scorer.top_n(users[known], width, exclude)
    return items, scores
