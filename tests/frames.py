"""Small frames written by hand, shared by tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.schemas import EVENTS

START = datetime(2024, 1, 1, tzinfo=UTC)


def events(spark: SparkSession, rows: Iterable[tuple[str, str, int]], value: float | None = 1.0) -> DataFrame:
    """`(user_id, item_id, hours since 2024-01-01)` as events, numbered in the order given."""
    full = [
        (f"e{n}", user, item, START + timedelta(hours=hours), "view", value, n, None, "hand", "test")
        for n, (user, item, hours) in enumerate(rows)
    ]
    return spark.createDataFrame(full, EVENTS.schema)
