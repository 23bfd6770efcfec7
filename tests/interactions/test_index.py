from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from recsys_spark.interactions.index import new_ids, next_index, number


def ids(spark: SparkSession, values: list[str]):
    return spark.createDataFrame([(v,) for v in values], "user_id string")


@pytest.mark.parametrize("per_bucket", [1, 3, 1000])
@pytest.mark.parametrize("partitions", [1, 5])
def test_new_ids_are_numbered_in_sorted_order_whatever_the_buckets_and_partitions(spark, per_bucket, partitions):
    values = ["pear", "apple", "fig", "Zebra", "10", "9", "ünder", "kiwi", "lime", "date"]
    numbered = number(ids(spark, values).repartition(partitions), "user_id", "user_idx", 7, per_bucket)
    assert {r["user_id"]: r["user_idx"] for r in numbered.collect()} == {
        "10": 7,
        "9": 8,
        "Zebra": 9,
        "apple": 10,
        "date": 11,
        "fig": 12,
        "kiwi": 13,
        "lime": 14,
        "pear": 15,
        "ünder": 16,
    }
    assert numbered.schema["user_idx"].dataType.simpleString() == "int"


def test_no_new_ids_give_no_rows(spark):
    assert number(ids(spark, []), "user_id", "user_idx", 3).count() == 0


def test_known_ids_keep_their_index_and_new_ones_take_the_next(spark):
    index = spark.createDataFrame([("b", 0), ("d", 1)], "user_id string, user_idx int")
    fresh = new_ids(ids(spark, ["a", "b", "c", "c"]), index, "user_id")
    assert sorted(r[0] for r in fresh.collect()) == ["a", "c"]
    assert next_index(index, "user_idx") == 2
    assert next_index(index.limit(0), "user_idx") == 0


def test_many_ids_are_dense_and_bijective(spark):
    many = spark.range(5000).selectExpr("concat('u', id) as user_id")
    rows = number(many, "user_id", "user_idx", 0, ids_per_bucket=300).collect()
    by_id = sorted(rows, key=lambda r: r["user_id"])
    assert [r["user_idx"] for r in by_id] == list(range(5000))


def test_the_index_column_is_text_or_number(spark):
    lines = spark.createDataFrame([(30,), (4,), (100,)], "line long")
    rows = number(lines, "line", "n", 0, ids_per_bucket=1).collect()
    assert {r["line"]: r["n"] for r in rows} == {4: 0, 30: 1, 100: 2}
