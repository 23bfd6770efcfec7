"""From figures of users to rows of metrics."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy.stats import norm

from recsys_spark.evaluate.measures import Measure, user_rows
from recsys_spark.evaluate.summary import covered, summarised


def test_means_and_ratios_with_their_intervals(spark: SparkSession) -> None:
    of = [Measure("mean", 3, "x"), Measure("ratio", None, "x", "y", most=None)]
    random = np.random.default_rng(1)
    x, y = random.random(50).tolist(), (1 + random.random(50)).tolist()
    rows = [("test", u, "users_new", "m", "all", 9, None, x[u], y[u]) for u in range(50)]
    # one without a figure, and one of another segment
    rows += [
        ("test", 50, "users_new", "m", "all", 9, None, None, 1.0),
        ("test", 51, "users_new", "m", "items_head", 9, None, 0.25, 1.0),
    ]
    found = {
        (row.segment, row.metric): row
        for row in spark.createDataFrame(rows, user_rows(of)).transform(summarised(of)).collect()
    }
    assert set(found) == {(s, m) for s in ("all", "users_new", "items_head") for m in ("mean", "ratio")}
    mean = found["all", "mean"]
    error = np.std(x, ddof=1) / np.sqrt(50)
    assert (mean.k, mean.n, mean.value) == (3, 50, pytest.approx(np.mean(x)))
    assert (mean.low, mean.high) == pytest.approx(norm.interval(0.95, np.mean(x), error))
    ratio = found["users_new", "ratio"]
    value = np.sum(x) / np.sum(y)
    error = np.std(np.array(x) - value * np.array(y), ddof=1) / np.sqrt(50) / np.mean(y)
    assert ratio.value == pytest.approx(value)
    assert (ratio.low, ratio.high) == pytest.approx(norm.interval(0.95, value, error))
    alone = found["items_head", "mean"]
    assert (alone.value, alone.low, alone.high, alone.n) == (0.25, None, None, 1)


def test_coverage_counts_items_in_anyones_list(spark: SparkSession) -> None:
    lists = [[4, 2, 7], [4, 3, -1], [2, 4, 3]]
    rows = [("test", user, None, "m", "all", 10, items) for user, items in enumerate(lists)]
    rows.append(("test", 0, None, "m", "items_head", 10, None))
    found = spark.createDataFrame(rows, user_rows([])).transform(covered([1, 3])).collect()
    assert {row.k: (row.metric, row.value, row.low, row.n) for row in found} == {
        1: ("coverage", 0.2, None, 3),
        3: ("coverage", 0.4, None, 3),
    }


def test_intervals_stay_within_the_range(spark: SparkSession) -> None:
    of = [Measure("hr", 1, "low"), Measure("recall", 1, "high"), Measure("novelty", 1, "high_unbounded", most=None)]
    rows = [
        ("test", user, None, "m", "all", 9, None, float(user == 0), float(user > 0), float(user > 0))
        for user in range(10)
    ]
    found = {
        row.metric: (row.low, row.high)
        for row in spark.createDataFrame(rows, user_rows(of)).transform(summarised(of)).collect()
    }
    # a mean of 1/10 or 9/10, with a standard error of 1/10
    assert found["hr"] == pytest.approx((0.0, 0.1 + 0.196), abs=1e-4)
    assert found["recall"] == pytest.approx((0.9 - 0.196, 1.0), abs=1e-4)
    assert found["novelty"] == pytest.approx((0.9 - 0.196, 0.9 + 0.196), abs=1e-4)
