"""The days that a day is held against: those before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.interactions.split import end_of
from recsys_spark.monitor_settings import Monitor

NOW, LATE, REFERENCE = "now", "late", "reference"


@dataclass(frozen=True)
class Windows:
    """Three spans of days: the day, the `stale_days` before it, and of these the last `reference_days`, the reference."""

    day: date
    late_from: date
    reference_from: date

    @classmethod
    def of(cls, settings: Monitor, day: date) -> Windows:
        return cls(day, day - timedelta(days=settings.stale_days), day - timedelta(days=settings.reference_days))

    def within(self, events: DataFrame) -> DataFrame:
        """The events of any of the spans, with booleans `now`, `late` and `reference`."""
        time = F.col(c.EVENT_TIME)
        marked = events.where(time < end_of(self.day)).withColumns(
            {
                NOW: time >= _start(self.day),
                LATE: (time >= _start(self.late_from)) & (time < _start(self.day)),
                REFERENCE: (time >= _start(self.reference_from)) & (time < _start(self.day)),
            }
        )
        return marked.where(F.col(NOW) | F.col(LATE) | F.col(REFERENCE))


def counted() -> list[Column]:
    """How many events of a group fall into each span."""
    return [F.count_if(F.col(name)).alias(name) for name in (REFERENCE, LATE, NOW)]


def _start(day: date) -> Column:
    return end_of(day - timedelta(days=1))
