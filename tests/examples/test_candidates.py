from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import functions as F

from recsys_spark.examples.candidates import drawn_candidates, given_candidates
from recsys_spark.examples.negatives import Pool

DAY = date(2024, 5, 1)
# user, item, positives in test, values in test and in train: user 1 has no target
PAIRS = [
    (0, 4, 1, 3.5, 1.0),
    (0, 2, 1, None, 2.0),
    (0, 7, 0, None, 2.0),
    (0, 9, 2, 5.0, None),
    (1, 3, 0, None, 4.0),
    (2, 3, 1, 1.5, None),
]
SCHEMA = "user_idx int, item_idx int, test_positives long, test_value double, train_value double"


@pytest.fixture
def interactions(spark):
    return spark.createDataFrame(PAIRS, SCHEMA).withColumn("validation_value", F.lit(None).cast("double"))


def test_drawn_candidates_stand_beside_targets_and_their_values(spark, interactions):
    pool = spark.sparkContext.broadcast(Pool.uniform(range(12)))
    examples = interactions.transform(drawn_candidates(DAY, "test", F.expr("test_positives > 0"), 5, 7, pool))
    rows = {row["user_idx"]: row for row in examples.collect()}
    assert {user: (row["targets"], row["values"]) for user, row in rows.items()} == {
        0: ([2, 4, 9], [None, 3.5, 5.0]),
        2: ([3], [1.5]),
    }
    assert all(len(set(row["candidates"])) == 5 for row in rows.values())
    assert not {2, 4, 7, 9} & set(rows[0]["candidates"])


def test_users_without_a_target_have_no_row(spark, interactions):
    pool = spark.sparkContext.broadcast(Pool.uniform(range(12)))
    assert interactions.transform(drawn_candidates(DAY, "test", F.lit(False), 5, 7, pool)).count() == 0


def test_given_candidates_stand_beside_targets_and_their_values(spark, interactions):
    negatives = spark.createDataFrame([(0, [1, 2, 3]), (1, [5])], "user_idx int, candidates array<int>")
    examples = interactions.transform(given_candidates(DAY, "test", F.expr("test_positives > 0"), negatives))
    assert [tuple(row) for row in examples.collect()] == [(DAY, "test", 0, [2, 4, 9], [None, 3.5, 5.0], [1, 3])]
