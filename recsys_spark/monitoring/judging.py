"""A day's figures held against the bounds that the days before give. No Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    def is_new(self) -> bool:
        """Whether the breach began on this very day: one that lasts is one alarm."""
        return self.since == self.day


@dataclass(frozen=True)
class Past:
    """An earlier day's value of one figure, and since when it was out of its bounds."""

    day: date
    value: float
    since: date | None


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
    """The values that bounds may be learnt from: none that was a breach, so that a breach does not widen tomorrow's bounds.

    But one that has lasted for `least` days is the new level: its values count, and none from before it.
    """
    kept: list[Past] = []
    out: list[Past] = []
    for one in past:
        if one.since is not None:
            out.append(one)
            continue
        kept, out = [*_relearnt(kept, out, least), one], []
    return _relearnt(kept, out, least)


def _relearnt(kept: list[Past], out: list[Past], least: int) -> list[Past]:
    return out if len(out) >= least else kept
