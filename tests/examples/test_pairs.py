from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import functions as F

from recsys_spark.config import load_config
from recsys_spark.examples.negatives import Pool
from recsys_spark.examples.pairs import train_pairs

# user, item, positives in train, positives in all
PAIRS = [(0, 0, 3, 3), (0, 1, 1, 2), (0, 2, 0, 1), (1, 0, 1, 1), (1, 5, 0, 4)]
DAY = date(2024, 5, 1)


def drawn(spark, times, *settings):
    """Rows (user, item, negatives) of a single draw of two negatives out of 40 items."""
    config = load_config(settings=["examples.negatives=2", "examples.draws=1", *settings]).examples
    pool = spark.sparkContext.broadcast(Pool.uniform(range(40)))
    interactions = spark.createDataFrame(PAIRS, "user_idx int, item_idx int, train_positives long, positives long")
    examples = interactions.transform(train_pairs(config, 7, DAY, "evaluate", F.expr(times), pool, files=2))
    return sorted((row.user_idx, row.item_idx, row.negative_1, row.negative_2) for row in examples.collect())


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ("cast(train_positives > 0 as int)", [(0, 0), (0, 1), (1, 0)]),
        ("train_positives", [(0, 0), (0, 0), (0, 0), (0, 1), (1, 0)]),
    ],
    ids=["pairs", "events"],
)
def test_a_positive_has_a_row_each_time_it_counts(spark, times, expected):
    rows = drawn(spark, times)
    assert [row[:2] for row in rows] == expected
    own = {0: {0, 1, 2}, 1: {0, 5}}  # positives past the cut are barred too
    assert all(not own[user] & set(negatives) for user, _, *negatives in rows)
    assert len({row[2:] for row in rows}) == len(rows)  # each time with negatives of its own


def test_strict_train_bars_only_what_was_taken_by_the_cut(spark):
    found = {
        negative
        for seed in range(3)
        for user, _, *negatives in drawn_with_seed(spark, seed)
        for negative in negatives
        if user == 1
    }
    assert 5 in found and 0 not in found


def drawn_with_seed(spark, seed):
    """The rows of `strict_train` out of six items, so that what may be drawn soon is."""
    config = load_config(settings=["examples.negatives=8", "examples.draws=1", "examples.strict_train=true"]).examples
    pool = spark.sparkContext.broadcast(Pool.uniform(range(6)))
    interactions = spark.createDataFrame(PAIRS, "user_idx int, item_idx int, train_positives long, positives long")
    times = (F.col("train_positives") > 0).cast("int")
    examples = interactions.transform(train_pairs(config, seed, DAY, "evaluate", times, pool, files=1))
    return [(row.user_idx, row.item_idx, *(row[f"negative_{k}"] for k in range(1, 9))) for row in examples.collect()]
