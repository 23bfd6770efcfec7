"""Counts of blocks and tasks by hand: users, rows, and what groups of items are given."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recsys_spark.recommend.counts import Counts
from recsys_spark.recommend.tally import BEFORE, PUBLISHED, Tally

SECOND = 1 / math.log2(3)


def test_a_user_counts_once_a_step_and_only_with_rows():
    tally = Tally()
    tally.add("filters", "seen", np.array([3, 0, 2]), np.array([1, 0, 2]))
    tally.add("filters", "seen", np.array([1, 0, 0]), np.array([0, 0, 0]))  # of another source
    tally.end_block()
    tally.add("filters", "seen", np.array([5]), np.array([5]))
    tally.end_block()
    assert tally.steps == {("filters", "seen"): (3, 11, 8)}


def test_shares_of_exposure_by_hand():
    tally, group = Tally(2), np.array([0, 1, 1, -1])
    # places are worth 1 and 0.63; 3 has no group, and 4 came after the groups were told
    tally.show(BEFORE, np.array([[0, 1], [3, -1]]), group)
    tally.show(PUBLISHED, np.array([[1, 0], [2, 4]]), group)
    assert tally.shares(BEFORE) == pytest.approx([1 / (2 + SECOND), SECOND / (2 + SECOND)])
    assert tally.shares(PUBLISHED) == pytest.approx([SECOND / (2 + 2 * SECOND), 2 / (2 + 2 * SECOND)])
    assert tally.lists == 2
    assert Tally(2).shares(BEFORE).tolist() == [0.0, 0.0]


def test_without_groups_no_exposure_is_counted():
    tally = Tally()
    tally.show(PUBLISHED, np.array([[1, 0]]), np.array([-1, -1]))
    assert tally.lists == 0 and tally.exposure.size == 0


@pytest.mark.slow
def test_a_task_that_is_run_again_counts_once(spark):
    counts = Counts(spark.sparkContext, groups=1)

    def count(batches):
        tally = counts.tally()
        for batch in batches:
            tally.add("scoring", "model", np.full(batch.num_rows, 2), np.ones(batch.num_rows))
            tally.show(PUBLISHED, np.zeros((batch.num_rows, 1), np.int32), np.zeros(1, np.int32))
            tally.end_block()
            yield batch
        counts.put("lists", tally)

    made = spark.range(10, numPartitions=3).mapInArrow(count, "id long")
    for _ in range(2):  # an executor that was lost: the same tasks, once more
        made.write.format("noop").mode("overwrite").save()
        total = counts.total()
        assert (total.steps, total.lists, total.exposure[PUBLISHED].tolist()) == (
            {("scoring", "model"): (10, 20, 10)}, 10, [10.0, 0.0]
        )  # fmt: skip
