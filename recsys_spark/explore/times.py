"""Events over days, hours and weekdays, by type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_aggregate
from recsys_spark.explore.entries import OTHERS, SUMMARY, Entry, Statistics, entries
from recsys_spark.explore.groups import largest
from recsys_spark.explore.passes import HOUR, VALUE_SUM, WITH_VALUE, Windows

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TYPES: Final = 4  # told apart, beside the others
_DAYS, _DAYS_IN_WEEKS, _DAYS_IN_MONTHS = (
    130,
    910,
    12_000,
)  # up to so many, a line of days, of weeks, of months is read well
_DAY, _WEEKDAY = "day", "weekday"


@dataclass(frozen=True)
class Day:
    """What happened on one day in events of one type."""

    day: date
    event_type: str
    events: int
    with_value: int
    value_sum: float


def days_of(hours: DataFrame, limit: int) -> list[Day]:
    """Rows by hour and type -> by day and type, of the most frequent types and one for the others."""
    by_type = hours.groupBy(F.col(c.EVENT_TYPE).alias(c.LABEL)).agg(F.sum(c.EVENTS).alias(c.EVENTS))
    shown = [label for label in largest(by_type, [c.EVENTS], _TYPES, limit) if label != OTHERS]
    named = F.when(F.col(c.EVENT_TYPE).isin(*shown), F.col(c.EVENT_TYPE)).otherwise(OTHERS).alias(c.EVENT_TYPE)
    measures = (c.EVENTS, WITH_VALUE, VALUE_SUM)
    by_day = hours.groupBy(F.to_date(HOUR).alias(_DAY), named).agg(*[F.sum(name).alias(name) for name in measures])
    rows = collect_aggregate(by_day.orderBy(_DAY, c.EVENT_TYPE), "days", limit)
    return [Day(row[0], row[1], row[2], row[3], row[4] or 0.0) for row in rows]


def clock(hours: DataFrame, limit: int) -> list[Entry]:
    """Events by hour of the day (UTC) and by weekday."""
    of_hour, of_weekday = F.hour(HOUR).alias(HOUR), F.weekday(F.col(HOUR)).alias(_WEEKDAY)
    rows = collect_aggregate(
        hours.groupBy(of_hour, of_weekday).agg(F.sum(c.EVENTS).alias(c.EVENTS)), "hours of a week", limit
    )
    by_hour: dict[str, Statistics] = {f"{hour:02d}": {c.EVENTS: 0.0} for hour in range(24)}
    by_weekday: dict[str, Statistics] = {name: {c.EVENTS: 0.0} for name in WEEKDAYS}
    for hour, weekday, events in rows:
        by_hour[f"{hour:02d}"][c.EVENTS] += events
        by_weekday[WEEKDAYS[weekday]][c.EVENTS] += events
    return [*entries("hours", "", by_hour), *entries("weekdays", "", by_weekday)]


def over_time(days: Sequence[Day]) -> list[Entry]:
    """Events by type over days, weeks, months or years: the shortest of them that gives a line one can read."""
    first, last = days[0].day, days[-1].day
    period, start = _period((last - first).days + 1)
    starts = sorted({start(first + timedelta(days=number)) for number in range((last - first).days + 1)})
    found = entries("over_time", SUMMARY, {period: {"n": len(starts)}})
    for event_type in sorted({day.event_type for day in days}):
        counts: dict[str, Statistics] = {one.isoformat(): {c.EVENTS: 0.0} for one in starts}
        for day in days:
            if day.event_type == event_type:
                counts[start(day.day).isoformat()][c.EVENTS] += day.events
        found += entries("over_time", event_type, counts)
    return found


def in_windows(days: Sequence[Day], windows: Windows) -> list[Entry]:
    """Events, and the mean of their values, in the days of train and of test."""
    of_train = [day for day in days if day.day <= windows.train_to]
    of_test = [day for day in days if windows.test_from <= day.day]
    return entries("windows", "events", {"train": _told(of_train), "test": _told(of_test)})


def _told(days: Sequence[Day]) -> dict[str, float | None]:
    with_value = sum(day.with_value for day in days)
    mean = sum(day.value_sum for day in days) / with_value if with_value else None
    return {c.EVENTS: sum(day.events for day in days), "days": len({day.day for day in days}), "mean_value": mean}


def _period(days: int) -> tuple[str, Callable[[date], date]]:
    """The name of the periods that a span falls into, and the first day of each."""
    if days <= _DAYS:
        return "day", lambda day: day
    if days <= _DAYS_IN_WEEKS:
        return "week", lambda day: day - timedelta(days=day.weekday())
    if days <= _DAYS_IN_MONTHS:
        return "month", lambda day: day.replace(day=1)
    return "year", lambda day: day.replace(month=1, day=1)
