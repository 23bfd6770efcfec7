"""The full protocol: each user's targets among the whole catalogue, and what the lists look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys_spark import columns as c
from recsys_spark.evaluate.blocks import ArrowPass, Batches, Lists, column_of, rows_within
from recsys_spark.evaluate.catalogue import Catalogue
from recsys_spark.evaluate.measures import FULL, at, measures
from recsys_spark.evaluate.ranked import ranked_rows
from recsys_spark.evaluate.subjects import Block, Plan, each_subject
from recsys_spark.evaluate.users import TRAIN_ITEMS, VALIDATION_ITEMS
from recsys_spark.interactions.split import TEST
from recsys_spark.models.users import Users
from recsys_spark.ranking import Floats, Ints, Scores, place_targets, top_k


def full_pass(plan: Plan) -> ArrowPass:
    """Eval users with their history -> `measures.user_rows` of the full protocol.

    O(users x items) a subject, in blocks whose scores stay within `plan.block_bytes`; a few times that is in
    use.
    """
    of, deepest = measures(FULL, plan.ks), max(plan.ks)

    def measured(batches: Batches) -> Iterator[pa.RecordBatch]:
        catalogue = plan.catalogue.value
        most = rows_within(plan.block_bytes, plan.block_users, 4 * catalogue.n_items)
        for block in each_subject(batches, plan, most):
            scores = catalogue_scores(block, plan.exclude_seen)
            targets = Lists.of(block.rows, c.TARGETS)
            placed = place_targets(scores, targets.rows, targets.values)
            listed = top_k(scores, deepest)
            extra = _beyond_accuracy(catalogue, block.rows, listed, plan.ks)
            yield from ranked_rows(plan, of, block, placed, targets.values, extra, listed)

    return measured


def catalogue_scores(block: Block, exclude_seen: bool) -> Scores:
    """Scores (U, n_items), -inf for what the user had before: train items and, on test, validation items."""
    n_items = block.scorer.n_items
    once, back = _once(block.users)
    scores = block.scorer.all_scores(block.users[once])[back]
    if exclude_seen:
        taken = Lists.of(block.rows, TRAIN_ITEMS).below(n_items)
        scores[taken.rows, taken.values] = -np.inf
        later = Lists.of(block.rows, VALIDATION_ITEMS).below(n_items)
        before_test = (column_of(block.rows, c.PART) == TEST)[later.rows]
        scores[later.rows[before_test], later.values[before_test]] = -np.inf
    return scores


def _once(users: Users) -> tuple[Ints, Ints]:
    """Rows to be scored, and which of them each row is: a user held out in both parts has two, side by side, which are
    one where neither history nor context tells them apart."""
    if users.history.shape[1] or users.context is not None:
        return np.arange(len(users)), np.arange(len(users))
    _, first, back = np.unique(users.idx, return_index=True, return_inverse=True)
    return first, back


def _beyond_accuracy(
    catalogue: Catalogue, rows: pa.RecordBatch, listed: npt.NDArray[np.int32], ks: Sequence[int]
) -> dict[str, Floats]:
    """Novelty and popularity of each user's list at each K, and the popularity of the user's train items."""
    popularity = catalogue.popularity
    figures = {"popularity_taken": Lists.of(rows, TRAIN_ITEMS).mean_of(popularity)}
    for name, of_item in (("novelty", catalogue.novelty), ("popularity", popularity)):
        means = _running_means(np.where(listed >= 0, of_item[listed], np.nan))
        figures |= {at(name, k): means[:, k - 1] for k in ks}
    return figures


def _running_means(rows: Floats) -> Floats:
    """The mean of the first 1, 2, ... entries of each row, those that are NaN left out."""
    there = np.cumsum(~np.isnan(rows), axis=1)
    sums = np.cumsum(np.nan_to_num(rows), axis=1)
    return np.divide(sums, there, out=np.full(rows.shape, np.nan), where=there > 0)
