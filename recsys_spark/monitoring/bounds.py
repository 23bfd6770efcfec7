"""Bounds of the next value from earlier ones: prediction intervals by Student's t, weekdays told apart. No Spark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark.monitoring.measures import Measure

Floats = npt.NDArray[np.float64]

NONE: Final = "none"  # too few values
_LEAST_OF_WEEKDAY: Final = 3  # values of each weekday from which their means are told apart
_LEAST_FOR_TAILS: Final = 20  # values from which tails are looked at, as the test's own source asks for
_TAILS: Final = 0.01  # level of that test
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
    """The interval that a day's value leaves with probability alpha, if it is drawn as the earlier ones were.

    On the measure's scale, centre +- t s sqrt(1 + 1/m): with values of each weekday enough, the centre is the mean of the m
    of the day's own weekday and s their spread about the weekdays' means, which is ordinary least squares with a level a
    weekday; else mean and spread of all (Geisser, 1993, "Predictive inference", chapter 2). Where kurtosis (Anscombe and
    Glynn, 1983) tells of heavy tails, medians, the median deviation and a t of 4 degrees of freedom stand in their place:
    a few odd days move them little, and as many again are no alarm. One side alone has all of alpha.

    Args:
        n: what the day's figure is taken over; no bound is nearer to the centre than one of those makes.
        least: with fewer values there are no bounds.
    """
    if len(values) < least:
        return Bounds(None, None, NONE, len(values))
    known = np.array([measure.to_scale(value) for value in values])
    weekdays = np.array([each.weekday() for each in days])
    by_weekday = _can_tell_weekdays(weekdays)
    groups = weekdays if by_weekday else np.zeros_like(weekdays)
    group = day.weekday() if by_weekday else 0
    centre, reach, robust = _centre_and_reach(known, groups, group, alpha if measure.sides != "both" else alpha / 2)
    words = [word for word, said in (("weekday", by_weekday), ("robust", robust)) if said]
    middle, unit = measure.from_scale(centre), measure.unit(n)
    low = min(measure.from_scale(centre - reach), middle - unit) if measure.sides != "high" else None
    high = max(measure.from_scale(centre + reach), middle + unit) if measure.sides != "low" else None
    return Bounds(low, high, " ".join([*words, "t"]), len(values))


def _can_tell_weekdays(weekdays: npt.NDArray[Any]) -> bool:
    return int(np.bincount(weekdays, minlength=7).min()) >= _LEAST_OF_WEEKDAY


def _centre_and_reach(known: Floats, groups: npt.NDArray[Any], group: int, tail: float) -> tuple[float, float, bool]:
    """The centre of a group, how far the interval reaches to a side, and whether tails are heavy."""
    names = np.unique(groups)
    means = {name: float(known[groups == name].mean()) for name in names}
    rest = known - np.array([means[name] for name in groups])
    free = len(known) - len(names)
    widened = math.sqrt(1.0 + 1.0 / int((groups == group).sum()))
    if not _is_heavy(rest):
        spread = math.sqrt(float((rest**2).sum()) / free)
        return means[group], _quantile(tail, float(free)) * spread * widened, False
    medians = {name: float(np.median(known[groups == name])) for name in names}
    rest = known - np.array([medians[name] for name in groups])
    spread = float(np.median(np.abs(rest))) / _quantile(0.25, _HEAVY) * math.sqrt(len(known) / free)
    return medians[group], _quantile(tail, _HEAVY) * spread * widened, True


def _is_heavy(rest: Floats) -> bool:
    if len(rest) < _LEAST_FOR_TAILS or float(np.ptp(rest)) == 0.0:
        return False
    from scipy.stats import kurtosistest

    return bool(kurtosistest(rest, alternative="greater").pvalue < _TAILS)


@lru_cache(maxsize=1024)
def _quantile(tail: float, free: float) -> float:
    from scipy.stats import t

    return float(t.isf(tail, free))
