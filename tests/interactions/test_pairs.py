from __future__ import annotations

from datetime import date, datetime

import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.interactions.core import k_core
from recsys_spark.interactions.pairs import interactions, is_target, positives_in, value_in
from recsys_spark.schemas import INTERACTIONS, LABELLED_EVENTS

DAY = date(2024, 1, 31)


def hour(h: int) -> datetime:
    return datetime(2024, 1, 1, h)


def test_pairs_count_the_parts_apart_and_keep_the_latest_value_of_each(spark):
    labelled = spark.createDataFrame(
        [
            (1, 10, hour(0), 1, 3.0, True, "train"),
            (1, 10, hour(2), 3, 5.0, True, "validation"),
            (1, 10, hour(1), 2, 4.0, False, "train"),
            (1, 11, hour(3), 4, None, True, "test"),
            (1, 12, hour(4), 5, 1.0, True, "train"),
            (1, 12, hour(5), 6, 2.0, True, "train"),
            (1, 12, hour(6), 7, None, True, "train"),
        ],
        LABELLED_EVENTS,
    )
    expected = spark.createDataFrame(
        [
            (DAY, 1, 10, 3, 2, 1, 1, 0, hour(0), hour(2), 5.0, 3.0, 5.0, None),
            (DAY, 1, 11, 1, 1, 0, 0, 1, hour(3), hour(3), None, None, None, None),
            (DAY, 1, 12, 3, 3, 3, 0, 0, hour(4), hour(6), None, 2.0, None, None),
        ],
        INTERACTIONS.schema,
    )
    assert_df_equality(
        labelled.transform(interactions(DAY)),
        expected,
        ignore_row_order=True,
        ignore_nullable=True,
        ignore_metadata=True,
    )


def test_a_target_is_new_in_its_part_unless_repeats_may_be_targets(spark):
    counts = spark.createDataFrame(
        [(1, 1, 0, 1), (2, 0, 0, 1), (3, 0, 1, 1), (4, 0, 1, 0)],
        "item_idx int, train_positives int, validation_positives int, test_positives int",
    )

    def targets(part: str, repeats: bool) -> list[int]:
        return sorted(r[0] for r in counts.where(is_target(part, repeats)).collect())

    assert targets("test", repeats=False) == [2]
    assert targets("test", repeats=True) == [1, 2, 3]
    assert targets("validation", repeats=False) == [3, 4]
    assert [r[0] for r in counts.where(positives_in("train", "validation") > 0).sort("item_idx").collect()] == [1, 3, 4]


def test_a_value_is_the_latest_of_the_parts_asked_for(spark):
    schema = "test_value double, train_value double, validation_value double"
    pairs = spark.createDataFrame([(3.0, 1.0, 2.0), (None, 1.0, None), (3.0, None, None)], schema)

    def values(*parts: str) -> list[float | None]:
        return [row[0] for row in pairs.coalesce(1).select(value_in(*parts)).collect()]

    assert values("train") == [1.0, 1.0, None]
    assert values("validation", "train") == values("train", "validation") == [2.0, 1.0, None]
    assert values("train", "validation", "test") == [3.0, 1.0, 3.0]


def test_a_core_of_many_rounds_stays_a_small_plan(spark):
    # a chain of users, each with its own item and the next one's, comes off a core of two by two link by link
    core = [(user, item) for user in (100, 200) for item in (100, 200)]
    chain = [(user, user + step) for user in range(4) for step in (0, 1)] + [(4, 4), (4, 100)]
    events = spark.createDataFrame([*chain, *core], "user_idx int, item_idx int").withColumn("positive", F.lit(True))
    config = load_config(settings=["interactions.min_user_items=2", "interactions.min_item_users=2"]).interactions
    said = []
    left = events.transform(k_core(config, said.append))
    assert sorted(map(tuple, left.select("user_idx", "item_idx").collect())) == core
    assert len(said) == 7  # one a link, one for the core and one that changes nothing
    assert len(left._jdf.queryExecution().optimizedPlan().toString()) < 10_000


def test_the_core_leaves_only_users_and_items_with_enough_of_each_other(spark):
    # user 3 has one item; without it item 30 has one user, and without that user 2 has one item
    rows = [(1, 10), (1, 20), (2, 10), (2, 30), (3, 30), (4, 10), (4, 20)]
    events = spark.createDataFrame(rows, "user_idx int, item_idx int").withColumn("positive", F.lit(True))
    config = load_config(settings=["interactions.min_user_items=2", "interactions.min_item_users=2"]).interactions
    left = events.transform(k_core(config))
    assert sorted((r["user_idx"], r["item_idx"]) for r in left.collect()) == [(1, 10), (1, 20), (4, 10), (4, 20)]


def test_a_core_that_leaves_nothing_says_so(spark):
    events = spark.createDataFrame([(1, 10, True)], "user_idx int, item_idx int, positive boolean")
    config = load_config(settings=["interactions.min_user_items=2"]).interactions
    with pytest.raises(UserError, match="leaves nothing"):
        events.transform(k_core(config))
