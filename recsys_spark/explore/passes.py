"""The three passes over all events: by user, by item, by hour. All that is counted exactly is counted from these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.interactions.split import end_of
from recsys_spark.settings import Split
from recsys_spark.transform import Transformer

TRAIN, TEST = "train", "test"  # events in the windows
HOUR: Final = "hour"
WITH_VALUE, VALUE_SUM = "with_value", "value_sum"


@dataclass(frozen=True)
class Windows:
    """The days that a split by time tests on, and those it trains on: whatever the split is, how far do they differ?"""

    train_to: date
    test_from: date
    test_to: date

    @classmethod
    def of(cls, split: Split, as_of: date) -> Windows:
        """Test is the last `split.test_days` up to the date, train all before the `split.validation_days` before them."""
        before_test = as_of - timedelta(days=split.test_days)
        return cls(before_test - timedelta(days=split.validation_days), before_test + timedelta(days=1), as_of)

    def counted(self) -> list[Column]:
        """How many events of a group fall into each."""
        time = F.col(c.EVENT_TIME)
        in_train, in_test = time < end_of(self.train_to), time >= end_of(self.test_from - timedelta(days=1))
        return [F.count_if(in_train).alias(TRAIN), F.count_if(in_test).alias(TEST)]


def counted_by(key: str, windows: Windows) -> Transformer:
    """Events -> `(key, events, first_time, train, test)`, a row a user or an item. One shuffle of such rows."""
    first = F.min(c.EVENT_TIME).alias(c.FIRST_TIME)
    return lambda events: events.groupBy(key).agg(F.count("*").alias(c.EVENTS), first, *windows.counted())


def by_hour(windows: Windows) -> Transformer:
    """Events -> `(hour, event_type, events, with_value, value_sum, train, test)`, a row an hour (UTC) and type."""

    def count(events: DataFrame) -> DataFrame:
        hour = F.date_trunc("hour", c.EVENT_TIME).alias(HOUR)
        return events.groupBy(hour, c.EVENT_TYPE).agg(
            F.count("*").alias(c.EVENTS),
            F.count(c.EVENT_VALUE).alias(WITH_VALUE),
            F.sum(c.EVENT_VALUE).alias(VALUE_SUM),
            *windows.counted(),
        )

    return count
