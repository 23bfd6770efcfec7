"""Bounds of the next value from earlier ones: prediction intervals by Student's t, weekdays told apart. No Spark."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from recsys_spark.monitoring.measures import Measure

Floats = npt.NDArray[np.float64]

NONE: Final = "none"  # too few values
_LEAST_OF_WEEKDAY: Final = 3  # values of each weekday from which their means are told apart
_LEAST_FOR_TAILS: Final = 20  # values from which tails are looked at, as the test's own source asks for
_TAILS: Final = 0.001  # level of that test
_NOTHING: Final = 1e-9  # on a scale: a spread up to this is none
_HEAVY: Final = 4.0  # degrees of freedom of what has heavy tails


@dataclass(frozen=True)
class Bounds:
    """What a figure may be; None is no bound. `method` says how it came about, `days` from how many values."""

    low: float | None
    high: float | None
    method: str
    days: int

    def holds(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


def bounds(
    measure: Measure, days: Sequence[date], values: Sequence[float], day: date, n: int, alpha: float, least: int
) -> Bounds:
    """The interval that a day's value leaves with probability alpha, if it comes about as the earlier ones did.

    On the measure's scale it is the prediction interval of ordinary least squares, x'b +- t s sqrt(1 + x'(X'X)^-1 x) (Draper and
    Smith, 1998, "Applied regression analysis", section 3.1): on a level a weekday and a line over days where each weekday has
    values enough, else on one level.

    Values that hang together from day to day tell less. With r the correlation of the rests on days in a row, set right for
    short series (Marriott and Pope, 1954), degrees of freedom are multiplied by (1 - r) / (1 + r) and the leverage is divided by
    it (Wilks, 2011, "Statistical methods in the atmospheric sciences", section 5.2.4).

    Where kurtosis (Anscombe and Glynn, 1983) tells of heavy tails, Huber's regression, the median deviation and at most 4 degrees
    of freedom stand in their place: a few odd days move the bounds little. One side alone has all of alpha.

    Args:
        days: of the values, in order.
        n: what the day's figure is taken over. The spread is taken to be no less than what chance makes of a share of n, or of a
            count as it is expected, and no bound is nearer to the centre than one of n makes.
        least: with fewer values there are no bounds.
    """
    if len(values) < least:
        return Bounds(None, None, NONE, len(values))
    known = np.array([measure.to_scale(value, n) for value in values])
    by_weekday = _can_tell_weekdays(days)
    fitted = _fitted(known, days, day, by_weekday)
    middle, unit = measure.from_scale(fitted.centre, n), measure.unit(n)
    reach = fitted.reach(alpha / 2 if measure.sides == "both" else alpha, measure.chance(n, middle))
    low = min(measure.from_scale(fitted.centre - reach, n), middle - unit) if measure.sides != "high" else None
    high = max(measure.from_scale(fitted.centre + reach, n), middle + unit) if measure.sides != "low" else None
    words = [word for word, said in (("weekday", by_weekday), ("robust", fitted.robust)) if said]
    return Bounds(low, high, " ".join([*words, "t"]), len(values))


@dataclass(frozen=True)
class _Fitted:
    """What a day is expected to be, with the spread of single values about it."""

    centre: float
    spread: float
    leverage: float
    free: float
    robust: bool

    def reach(self, tail: float, least_spread: float) -> float:
        return _quantile(tail, self.free) * max(self.spread, least_spread) * math.sqrt(1.0 + self.leverage)


def _can_tell_weekdays(days: Sequence[date]) -> bool:
    weekdays = np.bincount([day.weekday() for day in days], minlength=7)
    return int(weekdays.min()) >= _LEAST_OF_WEEKDAY


def _fitted(known: Floats, days: Sequence[date], day: date, by_weekday: bool) -> _Fitted:
    rows, row = _design([*days, day], by_weekday)
    inverse = np.linalg.pinv(rows.T @ rows)
    fit = inverse @ rows.T @ known
    rest = known - rows @ fit
    free, leverage = len(known) - rows.shape[1], float(row @ inverse @ row)
    told = _independent_share(rest, days)
    robust = _robust(known, rows) if _is_heavy(rest) else None
    if robust is not None:
        params, deviation = robust
        spread = deviation * math.sqrt(len(known) / free) / _quantile(0.25, _HEAVY)
        return _Fitted(float(row @ params), spread, leverage / told, max(1.0, min(_HEAVY, free * told)), True)
    spread = math.sqrt(float((rest**2).sum()) / free)
    return _Fitted(float(row @ fit), spread, leverage / told, max(1.0, free * told), False)


def _robust(known: Floats, rows: Floats) -> tuple[Floats, float] | None:
    """Huber's regression and the median deviation from it; None where most values lie on it, so that it tells no spread."""
    from statsmodels.api import RLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a perfect fit
        params = np.asarray(RLM(known, rows).fit().params)
    deviation = float(np.median(np.abs(known - rows @ params)))
    return (params, deviation) if deviation > _NOTHING else None


def _design(days: Sequence[date], by_weekday: bool) -> tuple[Floats, Floats]:
    """The rows of least squares of all days but the last, and that of the last."""
    groups = [day.weekday() if by_weekday else 0 for day in days]
    levels = np.eye(7 if by_weekday else 1)[groups]
    line = np.array([(day - days[-1]).days for day in days]) / 7.0
    rows = np.column_stack([levels, line]) if by_weekday else levels
    return rows[:-1], rows[-1]


def _independent_share(rest: Floats, days: Sequence[date]) -> float:
    """How many independent values each value is worth, by what is left of it on the day after."""
    total = float((rest**2).sum())
    if float(np.abs(rest).max()) < _NOTHING:
        return 1.0
    in_a_row = np.array([(later - one).days == 1 for one, later in pairwise(days)])
    found = float((rest[1:] * rest[:-1])[in_a_row].sum()) / total
    together = max(0.0, min(0.95, found + (1.0 + 3.0 * found) / len(rest)))
    return (1.0 - together) / (1.0 + together)


def _is_heavy(rest: Floats) -> bool:
    if len(rest) < _LEAST_FOR_TAILS or float(np.ptp(rest)) < _NOTHING:
        return False
    from scipy.stats import kurtosistest

    return bool(kurtosistest(rest, alternative="greater").pvalue < _TAILS)


@lru_cache(maxsize=4096)
def _quantile(tail: float, free: float) -> float:
    from scipy.stats import t

    return float(t.isf(tail, free))
