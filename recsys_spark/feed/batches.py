"""Row groups -> shuffled batches of one size, as numpy and as `tf.data`; columnar all the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from recsys_spark.feed.layouts import Block, Layout
from recsys_spark.feed.petastorm import row_groups
from recsys_spark.feed.shards import Plan
from recsys_spark.hashing import hash_of


def rebatch(blocks: Iterable[Block], rows: int, rng: np.random.Generator) -> Iterator[Block]:
    """Blocks (n, columns) of any length -> shuffled stacks of batches (m, rows, columns); what is over is left out.

    A block is permuted with what was left of the one before it, so memory is one block and one batch.
    """
    left: Block | None = None
    for block in blocks:
        pool = block if left is None or not len(left) else np.concatenate([left, block])
        pool = pool[rng.permutation(len(pool))]
        whole = len(pool) - len(pool) % rows
        if whole:
            yield pool[:whole].reshape(-1, rows, pool.shape[1])
        left = pool[whole:]


def epoch_stacks(plan: Plan, layout: Layout, rank: int, seed: int, epoch: int, most: int = 1) -> Iterator[Block]:
    """One rank's batches of one epoch, in stacks (1 to `most`, plan.batch_rows, width), `plan.steps` batches in all."""
    drawn = int(hash_of(seed, epoch, rank)[0])
    groups = row_groups(plan.shards[rank], layout, drawn)
    left = plan.steps
    for stack in rebatch(groups, plan.batch_rows, np.random.default_rng(drawn)):
        wanted = stack[:left]  # reading goes on past the last step, so that the reader can check its counts
        left -= len(wanted)
        yield from (wanted[start : start + most] for start in range(0, len(wanted), most))


def dataset(plan: Plan, layout: Layout, rank: int, seed: int, epoch: int, most: int = 1) -> Iterator[Any]:
    """The same by way of a `tf.data.Dataset` of int32, read ahead of the training step.

    Raises:
        UserError: the files are not as Delta's log says; `tf.data` would hide it in an error of its own.
    """
    import tensorflow as tf

    failures: list[Exception] = []

    def stacks() -> Iterator[Block]:
        try:
            yield from epoch_stacks(plan, layout, rank, seed, epoch, most)
        except Exception as failure:
            failures.append(failure)
            raise

    signature = tf.TensorSpec((None, plan.batch_rows, layout.width), tf.int32)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1  # else a reader that waits keeps one of the step's threads waiting
    ahead = tf.data.Dataset.from_generator(stacks, output_signature=signature).prefetch(2).with_options(options)
    try:
        yield from ahead
    except tf.errors.OpError:
        if failures:
            raise failures[0] from None
        raise
