"""Row groups -> shuffled batches of one size, as numpy and as `tf.data`; columnar all the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark import columns as c
from recsys_spark.feed.petastorm import row_groups
from recsys_spark.feed.shards import Plan
from recsys_spark.hashing import hash_of

Block = npt.NDArray[np.int32]


def pair_columns(negatives: int) -> list[str]:
    """The columns of a row of pairs: the user, the positive, its negatives."""
    return [c.USER_IDX, c.ITEM_IDX, *(c.negative(k) for k in range(1, negatives + 1))]


def rebatch(blocks: Iterable[Block], rows: int, rng: np.random.Generator) -> Iterator[Block]:
    """Blocks of any length -> shuffled blocks of `rows` rows; fewer than `rows` at the end are left out.

    A block is permuted with what was left of the one before it, so memory is one block and one batch.
    """
    left: Block | None = None
    for block in blocks:
        pool = block if left is None or not len(left) else np.concatenate([left, block])
        pool = pool[rng.permutation(len(pool))]
        whole = len(pool) - len(pool) % rows
        yield from (pool[start : start + rows] for start in range(0, whole, rows))
        left = pool[whole:]


def epoch_batches(plan: Plan, columns: Sequence[str], rank: int, seed: int, epoch: int) -> Iterator[Block]:
    """One rank's batches of one epoch: exactly `plan.steps` of `plan.batch_rows` rows, in the seed's order."""
    drawn = int(hash_of(seed, epoch, rank)[0])
    groups = row_groups(plan.shards[rank], columns, drawn)
    batches = rebatch(groups, plan.batch_rows, np.random.default_rng(drawn))
    for step, batch in enumerate(batches):
        if step < plan.steps:  # read on past the last step, so that the reader can check its counts
            yield batch


def dataset(plan: Plan, columns: Sequence[str], rank: int, seed: int, epoch: int) -> Any:
    """The same as a `tf.data.Dataset` of int32 (batch_rows, columns), read ahead of the training step."""
    import tensorflow as tf

    return tf.data.Dataset.from_generator(
        lambda: epoch_batches(plan, columns, rank, seed, epoch),
        output_signature=tf.TensorSpec((plan.batch_rows, len(columns)), tf.int32),
    ).prefetch(2)
