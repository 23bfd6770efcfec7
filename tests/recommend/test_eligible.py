from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from recsys_spark.recommend.eligible import eligible

# a bought 5 and was shown 7; b was shown 5 alone; c bought 9 long ago
PAIRS = [(1, 5, 2, 20), (1, 7, 0, 20), (2, 5, 0, 19), (3, 9, 1, 2)]


@pytest.fixture(scope="module")
def tables(spark):
    rows = [(user, item, bought, datetime(2024, 5, day, tzinfo=UTC)) for user, item, bought, day in PAIRS]
    pairs = spark.createDataFrame(rows, "user_idx int, item_idx int, positives bigint, last_time timestamp")
    features = spark.createDataFrame([(1, "F"), (2, "M")], "user_idx int, segment string")
    return pairs, features


@pytest.mark.parametrize(
    ("by_positives", "days", "had"),
    [
        (False, 0, {1: ("F", [5, 7]), 2: ("M", [5]), 3: (None, [9])}),
        (True, 0, {1: ("F", [5]), 2: ("M", []), 3: (None, [9])}),
        (True, 3, {1: ("F", [5]), 2: ("M", [])}),
    ],
)
def test_what_was_shown_is_had_only_where_types_do_not_tell(tables, by_positives, days, had):
    users = eligible(*tables, date(2024, 5, 21), days, by_positives)
    assert {row["user_idx"]: (row["segment"], row["seen"]) for row in users.collect()} == had
