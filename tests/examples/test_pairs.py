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
ONCE = "cast(train_positives > 0 as int)"


def drawn(spark, times, *settings, items=40, seed=7):
    """Rows (user, item, negatives ...) of a single draw, two negatives each unless set otherwise."""
    config = load_config(settings=["examples.negatives=2", "examples.draws=1", *settings]).examples
    pool = spark.sparkContext.broadcast(Pool.uniform(range(items)))
    interactions = spark.createDataFrame(PAIRS, "user_idx int, item_idx int, train_positives long, positives long")
    examples = interactions.transform(train_pairs(config, seed, DAY, "evaluate", F.expr(times), pool, files=2))
    columns = ["user_idx", "item_idx", *(f"negative_{k}" for k in range(1, config.negatives + 1))]
    return sorted(tuple(row) for row in examples.select(columns).collect())


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (ONCE, [(0, 0), (0, 1), (1, 0)]),
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
    strict = ("examples.strict_train=true", "examples.negatives=8")
    found = {
        negative
        for seed in range(3)
        for user, _, *negatives in drawn(spark, ONCE, *strict, items=6, seed=seed)
        for negative in negatives
        if user == 1
    }
    assert 5 in found and 0 not in found
