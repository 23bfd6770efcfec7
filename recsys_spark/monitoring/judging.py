"""A day's figures held against the bounds that the days before give. No Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from recsys_spark.monitor_settings import Monitor
from recsys_spark.monitoring.bounds import Bounds, bounds
from recsys_spark.monitoring.measures import MEASURES, Figure

MONTH_DAYS: Final = 365.25 / 12


@dataclass(frozen=True)
class Judged:
    """A figure, its bounds, and since when it is out of them; None: it is not."""

    day: date
    figure: Figure
    bounds: Bounds
    since: date | None

    @property
    def bound(self) -> float | None:
        """The bound that the figure is out of."""
        if self.since is None:
            return None
        low = self.bounds.low
        return low if low is not None and self.figure.value < low else self.bounds.high

    @property
    def is_new(self) -> bool:
        """Whether the breach began on this very day: one that lasts is one alarm."""
        return self.since == self.day


@dataclass(frozen=True)
class Past:
    """An earlier day's value of one figure, since when it was out of its bounds, and the bound that it was out of."""

    day: date
    value: float
    since: date | None = None
    bound: float | None = None


History = Mapping[tuple[str, str], Sequence[Past]]  # by metric and part, in order of days


def judge(figures: Iterable[Figure], history: History, day: date, settings: Monitor) -> list[Judged]:
    """Each figure with its bounds. All of them together leave theirs `alarms_per_month` times a month by chance (Bonferroni).

    Args:
        history: of days before this one; those over `history_days` ago, or before `since`, do not count.
    """
    figures = list(figures)
    alpha = min(0.5, settings.alarms_per_month / (MONTH_DAYS * max(len(figures), 1)))
    return [_judged(figure, history.get((figure.metric, figure.part), ()), day, alpha, settings) for figure in figures]


def _judged(figure: Figure, past: Sequence[Past], day: date, alpha: float, settings: Monitor) -> Judged:
    first = max(day - timedelta(days=settings.history_days), settings.since or date.min)
    recent = [one for one in past if first <= one.day < day]
    taught = lessons(recent, settings.least_days)
    found = bounds(
        MEASURES[figure.metric],
        [one.day for one in taught],
        [one.value for one in taught],
        day,
        figure.n,
        alpha,
        settings.least_days,
    )
    if found.holds(figure.value):
        return Judged(day, figure, found, None)
    before = recent[-1].since if recent else None
    return Judged(day, figure, found, before or day)


def lessons(past: Sequence[Past], least: int) -> list[Past]:
    """What bounds may be learnt from: of a breach its first day alone, and as the bound that it was out of.

    So a breach does not widen the bounds of the days after it beyond what was believed before, nor do they narrow bit by bit
    because what is rare was left out. But one that has lasted for `least` days is the new level: all its values count as they
    are, and none from before it.
    """
    kept: list[Past] = []
    out: list[Past] = []
    for one in past:
        if one.since is not None:
            out.append(one)
            continue
        kept, out = [*_with_breach(kept, out, least), one], []
    return _with_breach(kept, out, least)


def _with_breach(kept: list[Past], out: list[Past], least: int) -> list[Past]:
    if len(out) >= least:
        return out
    begun = [replace(one, value=one.bound) for one in out[:1] if one.since == one.day and one.bound is not None]
    return [*kept, *begun]
