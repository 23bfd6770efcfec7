from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from recsys_spark.features.numbers import matrix, number, standardised


def test_a_number_is_finite_or_null(spark):
    texts = spark.createDataFrame([("3",), ("-1",), ("F",), ("NaN",), ("Infinity",), (None,)], "value string")
    plain = [row[0] for row in texts.select(number(F.col("value"), log=False)).collect()]
    assert plain == [3.0, -1.0, None, None, None, None]
    logged = [row[0] for row in texts.select(number(F.col("value"), log=True)).collect()]
    assert logged == [pytest.approx(math.log(4.0)), None, None, None, None, None]


def test_standardised_by_hand():
    scaled = standardised(pa.array([20.0, 40.0, None, 90.0]), mean=30.0, std=10.0)
    assert scaled.shape == (4, 1)
    np.testing.assert_array_equal(scaled[:, 0], [-1.0, 1.0, np.nan, 6.0])


def test_what_is_all_alike_is_zero():
    assert standardised(pa.array([5.0, 5.0]), mean=5.0, std=0.0).tolist() == [[0.0], [0.0]]


def test_vectors_are_taken_as_they_are_and_missing_ones_are_nan():
    vectors = pa.array([[1.0, 2.0], None, [3.0, math.inf], [4.0, None]], pa.list_(pa.float32()))
    nan = [np.nan, np.nan]
    np.testing.assert_array_equal(matrix(vectors, 2), [[1.0, 2.0], nan, nan, nan])
    np.testing.assert_array_equal(matrix(vectors.slice(3), 2), [nan])
