"""The sampled protocol: each user's targets among the candidates drawn or given for that user.

Krichene and Rendle, 2020, "On sampled metrics for item recommendation": such figures compare models only
roughly; the full catalogue decides. They are here because papers report them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql.types import LongType, StringType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark.evaluate.blocks import ArrowPass, Batches, Lists, column_of
from recsys_spark.evaluate.losses import BINS, bins_of, user_losses
from recsys_spark.evaluate.measures import ALL, CATALOGUE, LOSS, SAMPLED, measures, to_arrow
from recsys_spark.evaluate.ranked import ranked_rows
from recsys_spark.evaluate.scorers import Int32s
from recsys_spark.evaluate.subjects import Block, Plan, each_subject
from recsys_spark.ranking import Bools, Floats, Scores, place

BIN, POSITIVES, NEGATIVES = "bin", "positives", "negatives"
HISTOGRAM = StructType(
    [
        StructField(c.PART, StringType()),
        StructField(c.MODEL_VERSION, StringType()),
        StructField(BIN, LongType()),
        StructField(POSITIVES, LongType()),
        StructField(NEGATIVES, LongType()),
    ]
)
TRAIN_LOSS = [LOSS]


def sampled_pass(plan: Plan) -> ArrowPass:
    """Eval users -> `measures.user_rows` of the sampled protocol. O(users x candidates) a subject."""
    of = measures(SAMPLED, plan.ks)

    def measured(batches: Batches) -> Iterator[pa.RecordBatch]:
        for block in each_subject(batches, plan, plan.block_users):
            scores, positive = _candidate_scores(block)
            targets = Lists.of(block.rows, c.TARGETS).values
            has_losses = block.subject.path is not None and block.subject.logits
            losses = _losses_of_known(plan, block, scores, positive) if has_losses else {}
            yield from ranked_rows(plan, of, block, place(scores, positive), targets, losses)

    return measured


def histogram_pass(plan: Plan) -> ArrowPass:
    """Eval users -> `HISTOGRAM`: how many pairs of known users score in each bin, a row a block and bin."""

    def counted(batches: Batches) -> Iterator[pa.RecordBatch]:
        for block in each_subject(batches, plan, plan.block_users):
            scores, positive = _candidate_scores(block)
            counts = (scores > -np.inf) & block.known[:, None]
            parts = column_of(block.rows, c.PART)
            for part in np.unique(parts):
                of_part = counts & (parts == part)[:, None]
                wins = np.bincount(bins_of(scores[of_part & positive]), minlength=BINS)
                others = np.bincount(bins_of(scores[of_part & ~positive]), minlength=BINS)
                filled = np.flatnonzero(wins + others)
                yield pa.RecordBatch.from_pydict(
                    {
                        c.PART: pa.array([part] * len(filled), pa.string()),
                        c.MODEL_VERSION: pa.array([block.subject.version] * len(filled), pa.string()),
                        BIN: pa.array(filled, pa.int64()),
                        POSITIVES: pa.array(wins[filled], pa.int64()),
                        NEGATIVES: pa.array(others[filled], pa.int64()),
                    }
                )

    return counted


def train_loss_pass(plan: Plan) -> ArrowPass:
    """Train examples with `part` -> `measures.user_rows` of `TRAIN_LOSS`, a row a positive."""
    names = [c.ITEM_IDX, *(c.negative(k) for k in range(1, plan.negatives + 1))]

    def measured(batches: Batches) -> Iterator[pa.RecordBatch]:
        for block in each_subject(batches, plan, plan.block_users):
            items = np.stack([column_of(block.rows, name) for name in names], axis=1)
            positive = np.broadcast_to(np.arange(items.shape[1]) == 0, items.shape)
            labels = {c.MODEL_VERSION: block.subject.version, c.SEGMENT: ALL, CATALOGUE: block.scorer.n_items}
            losses = user_losses(_scores(block, items), positive, plan.negatives)
            yield to_arrow(TRAIN_LOSS, block.rows, labels, losses)

    return measured


def _candidate_scores(block: Block) -> tuple[Scores, Bools]:
    """Scores (U, C) of targets, then candidates, and which are targets; unknown items are -inf."""
    targets = Lists.of(block.rows, c.TARGETS).padded()
    items = np.hstack((targets, Lists.of(block.rows, c.CANDIDATES).padded()))
    positive = np.zeros(items.shape, bool)
    positive[:, : targets.shape[1]] = targets >= 0
    return _scores(block, items), positive


def _scores(block: Block, items: Int32s) -> Scores:
    known = (items >= 0) & (items < block.scorer.n_items)
    return np.where(known, block.scorer.scores(block.users, np.where(known, items, 0)), -np.inf)


def _losses_of_known(plan: Plan, block: Block, scores: Scores, positive: Bools) -> dict[str, Floats]:
    known = block.known  # the others are scored by popularity, which is no logit
    losses = user_losses(scores, positive, plan.negatives)
    return {name: np.where(known, values, np.nan) for name, values in losses.items()}
