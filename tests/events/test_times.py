from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from recsys_spark.events import times


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("s", "978300760", "2000-12-31 22:12:40"),
        ("s", " 978300760.25 ", "2000-12-31 22:12:40.25"),
        ("s", "9.78300760e8", "2000-12-31 22:12:40"),
        ("s", "-1", "1969-12-31 23:59:59"),
        ("ms", "978300760001", "2000-12-31 22:12:40.001"),
        ("us", "978300760000001", "2000-12-31 22:12:40.000001"),
        ("ns", "978300760000001999", "2000-12-31 22:12:40.000001"),
        ("s", "978300760000", None),  # milliseconds taken for seconds: past the year 9999
        ("s", "NaN", None),
        ("s", "Infinity", None),
        ("s", "yesterday", None),
        ("s", "", None),
        ("s", None, None),
    ],
)
def test_times_since_1970(spark, unit, text, expected):
    row = spark.range(1).select(times.from_epoch(F.lit(text), unit).cast("string")).head()
    assert row[0] == expected


def test_written_times_are_utc_unless_they_say_otherwise(spark):
    texts = spark.createDataFrame(
        [(1, "1999-06-13"), (2, "2010-06-08 05:00:00+02:00"), (3, "soon"), (4, "06.05.2024")], "n int, t string"
    )
    found = texts.select("n", times.from_text(F.col("t")).cast("string")).orderBy("n").collect()
    assert [row[1] for row in found] == ["1999-06-13 00:00:00", "2010-06-08 03:00:00", None, None]
    by_format = texts.select("n", times.from_text(F.col("t"), "dd.MM.yyyy").cast("string")).orderBy("n").collect()
    assert [row[1] for row in by_format] == [None, None, None, "2024-05-06 00:00:00"]
