"""When made events happen: days by trend, season and weekday, moments of a day by the hour."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from recsys_spark.settings import Generate

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DAY_SECONDS = 86_400
_YEAR_DAYS = 365.25
# how busy each day (from Monday) and each hour (from midnight) is beside the others
_WEEKDAYS = np.array([0.90, 0.90, 0.95, 1.00, 1.15, 1.30, 0.80])
_HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 13, 11, 10, 10, 12, 15, 18, 19, 17, 13, 8, 4])
# the year is busiest in mid-December, by so much over its mean
_PEAK_DAY_OF_YEAR, _PEAK = 350, 0.2


def first_day(made: Generate) -> date:
    """The day that counts as day 0."""
    return made.end - timedelta(days=made.days - 1)


def midnights(made: Generate, days: Integers) -> Integers:
    """The seconds from 1970 to the beginning of days that are counted from 0."""
    return ((first_day(made) - date(1970, 1, 1)).days + days) * DAY_SECONDS


def day_shares(made: Generate) -> Floats:
    """The share of all events that falls on each day, shape (days,): growth x yearly wave x weekday."""
    days = np.arange(made.days)
    growth = (1.0 + made.growth) ** (days / _YEAR_DAYS)
    day_of_year = first_day(made).timetuple().tm_yday + days
    wave = 1.0 + _PEAK * np.cos(2 * np.pi * (day_of_year - _PEAK_DAY_OF_YEAR) / _YEAR_DAYS)
    weekday = _WEEKDAYS[(first_day(made).weekday() + days) % 7]
    busy = growth * wave * weekday
    return np.asarray(busy / busy.sum())


def moments(made: Generate, quantiles: Floats) -> tuple[Integers, Integers]:
    """Where quantiles in [0, 1) of all events fall: the day, counted from 0, and the second of that day."""
    ends = np.cumsum(day_shares(made))
    days = np.minimum(np.searchsorted(ends, quantiles, side="right"), made.days - 1)
    starts = np.concatenate([[0.0], ends])
    within = (quantiles - starts[days]) / (ends[days] - starts[days])
    hour_ends = np.concatenate([[0.0], np.cumsum(_HOURS) / _HOURS.sum()])
    hours = np.interp(within, hour_ends, np.arange(len(hour_ends)))
    return days.astype(np.int64), np.minimum(hours * 3600, DAY_SECONDS - 1).astype(np.int64)
