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
from recsys_spark.evaluate.scorers import Int32s, Scorer
from recsys_spark.evaluate.subjects import Plan, each_subject
from recsys_spark.models.users import Users
from recsys_spark.ranking import Bools, Floats, Scores, place
from recsys_spark.recommend.histories import users_of

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
        for subject, scorer, users in each_subject(batches, plan, plan.block_users):
            scores, positive = _candidate_scores(scorer, users)
            in_head = plan.catalogue.value.in_head[Lists.of(users, c.TARGETS).values]
            losses = (
                {}
                if subject.path is None or not subject.logits
                else _losses_of_known(plan, scorer, users, scores, positive)
            )
            yield from ranked_rows(plan, of, subject, scorer, users, place(scores, positive), in_head, losses)

    return measured


def histogram_pass(plan: Plan) -> ArrowPass:
    """Eval users -> `HISTOGRAM`: how many pairs of known users score in each bin, a row a block and bin."""

    def counted(batches: Batches) -> Iterator[pa.RecordBatch]:
        for subject, scorer, users in each_subject(batches, plan, plan.block_users):
            scores, positive = _candidate_scores(scorer, users)
            counts = (scores > -np.inf) & scorer.knows(users_of(users, scorer.history, scorer.n_items))[:, None]
            parts = column_of(users, c.PART)
            for part in np.unique(parts):
                of_part = counts & (parts == part)[:, None]
                wins = np.bincount(bins_of(scores[of_part & positive]), minlength=BINS)
                others = np.bincount(bins_of(scores[of_part & ~positive]), minlength=BINS)
                filled = np.flatnonzero(wins + others)
                yield pa.RecordBatch.from_pydict(
                    {
                        c.PART: pa.array([part] * len(filled), pa.string()),
                        c.MODEL_VERSION: pa.array([subject.version] * len(filled), pa.string()),
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
        for subject, scorer, rows in each_subject(batches, plan, plan.block_users):
            items = np.stack([column_of(rows, name) for name in names], axis=1)
            scores = _scores(scorer, users_of(rows, scorer.history, scorer.n_items), items)
            positive = np.broadcast_to(np.arange(items.shape[1]) == 0, items.shape)
            labels = {c.MODEL_VERSION: subject.version, c.SEGMENT: ALL, CATALOGUE: scorer.n_items}
            yield to_arrow(TRAIN_LOSS, rows, labels, user_losses(scores, positive, plan.negatives))

    return measured


def _candidate_scores(scorer: Scorer, users: pa.RecordBatch) -> tuple[Scores, Bools]:
    """Scores (U, C) of targets, then candidates, and which are targets; unknown items are -inf."""
    targets = Lists.of(users, c.TARGETS).padded()
    items = np.hstack((targets, Lists.of(users, c.CANDIDATES).padded()))
    positive = np.zeros(items.shape, bool)
    positive[:, : targets.shape[1]] = targets >= 0
    return _scores(scorer, users_of(users, scorer.history, scorer.n_items), items), positive


def _scores(scorer: Scorer, users: Users, items: Int32s) -> Scores:
    known = (items >= 0) & (items < scorer.n_items)
    return np.where(known, scorer.scores(users, np.where(known, items, 0)), -np.inf)


def _losses_of_known(
    plan: Plan, scorer: Scorer, users: pa.RecordBatch, scores: Scores, positive: Bools
) -> dict[str, Floats]:
    unknown = ~scorer.knows(users_of(users, scorer.history, scorer.n_items))  # scored by popularity, which is no logit
    losses = user_losses(scores, positive, plan.negatives)
    return {name: np.where(unknown, np.nan, values) for name, values in losses.items()}
