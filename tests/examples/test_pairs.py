from __future__ import annotations

from datetime import date
from math import isnan

import pytest
from pyspark.sql import functions as F

from recsys_spark.config import load_config
from recsys_spark.examples.negatives import Pool
from recsys_spark.examples.pairs import train_pairs

# user, item, positives in train, positives in all, values in train and in test
PAIRS = [
    (0, 0, 3, 3, 2.5, None),
    (0, 1, 1, 2, 4.0, 1.0),
    (0, 2, 0, 1, None, 5.0),
    (1, 0, 1, 1, None, None),
    (1, 5, 0, 4, None, 3.0),
]
SCHEMA = (
    "user_idx int, item_idx int, train_positives long, positives long, "
    "train_value double, test_value double, validation_value double"
)
DAY = date(2024, 5, 1)
ONCE = "cast(train_positives > 0 as int)"


def examples_of(spark, times, *settings, items=40, seed=7, fit="evaluate", conversions=None):
    """The examples of a single draw, two negatives each unless set otherwise."""
    config = load_config(settings=["examples.negatives=2", "examples.draws=1", *settings]).examples
    pool = spark.sparkContext.broadcast(Pool.uniform(range(items)))
    interactions = spark.createDataFrame([(*pair, None) for pair in PAIRS], SCHEMA)
    made = train_pairs(config, seed, DAY, fit, F.expr(times), pool, files=2, conversions=conversions)
    return interactions.transform(made)


def drawn(spark, times, *settings, **options):
    """Rows (user, item, negatives ...)."""
    examples = examples_of(spark, times, *settings, **options)
    columns = ["user_idx", "item_idx", *(name for name in examples.columns if name.startswith("negative_"))]
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
    own = {0: {0, 1}, 1: {0}}  # by the cut
    assert all(not own[user] & set(negatives) for user, _, *negatives in rows)
    assert len({row[2:] for row in rows}) == len(rows)  # each time with negatives of its own


@pytest.mark.parametrize(
    ("fit", "times", "expected"),
    [
        ("evaluate", "train_positives", [(0, 0, 2.5), (0, 0, 2.5), (0, 0, 2.5), (0, 1, 4.0), (1, 0, None)]),
        ("production", "1", [(0, 0, 2.5), (0, 1, 1.0), (0, 2, 5.0), (1, 0, None), (1, 5, 3.0)]),
    ],
)
def test_the_value_is_the_latest_that_the_fit_may_see(spark, fit, times, expected):
    rows = examples_of(spark, times, fit=fit).select("user_idx", "item_idx", "value").collect()
    assert sorted((user, item, None if isnan(value) else value) for user, item, value in rows) == expected


def test_positives_say_whether_they_converted(spark):
    bought = spark.createDataFrame([(0, 1), (1, 5)], "user_idx int, item_idx int")
    rows = examples_of(spark, ONCE, conversions=bought).select("user_idx", "item_idx", "converted").collect()
    assert sorted(map(tuple, rows)) == [(0, 0, 0.0), (0, 1, 1.0), (1, 0, 0.0)]
    assert all(isnan(row.converted) for row in examples_of(spark, ONCE).select("converted").collect())


@pytest.mark.parametrize("strict", [True, False])
def test_only_what_was_taken_by_the_cut_is_barred_unless_set_otherwise(spark, strict):
    settings = () if strict else ("examples.strict_train=false",)
    found = {
        negative
        for seed in range(3)
        for user, _, *negatives in drawn(spark, ONCE, "examples.negatives=8", *settings, items=6, seed=seed)
        for negative in negatives
        if user == 1
    }
    assert 0 not in found and (5 in found) == strict  # user 1 took 5 in test
