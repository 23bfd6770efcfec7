"""The page of a day: what is out of bounds, then every figure with its line over the days before. No Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from recsys_spark.monitoring.judging import History, Judged
from recsys_spark.monitoring.live import Live
from recsys_spark.monitoring.measures import DRIFT, EVENTS, LISTS, MEASURES, ONLINE, Figure
from recsys_spark.pages import Block, Cell, Note, Page, Part, Share, Table, sparkline
from recsys_spark.pages.words import shown
from recsys_spark.settings import Config


@dataclass(frozen=True)
class Report:
    """All that a page shows; `absent` has by part why figures are missing."""

    config: Config
    day: date
    live: Live | None
    judged: Sequence[Judged]
    history: History
    absent: Mapping[str, Sequence[str]]


def page(report: Report) -> Page:
    """The page of one day and variant."""
    live, settings = report.live, report.config.monitor
    lists = f"the lists of {live.as_of}, by {live.model_version}, were live" if live else "no lists were live"
    lead = (
        f"Data set {report.config.dataset}, variant {report.config.recommend.variant}, {report.day}: {lists}. Lines show the "
        f"{settings.history_days} days before and, marked, the day; shaded is where it would be no breach."
    )
    parts = [_breaches(report), *(_part(report, of) for of in (ONLINE, LISTS, EVENTS, DRIFT)), _meanings(report)]
    out = [one for one in report.judged if one.since is not None]
    facts = {
        "figures": len(report.judged),
        "with bounds": sum(one.bounds.low is not None or one.bounds.high is not None for one in report.judged),
        "out of bounds": len(out),
        "since today": sum(one.is_new for one in out),
    }
    return Page(f"Monitoring of {report.config.dataset}", lead, parts, facts)


def name_of(figure: Figure) -> str:
    """A figure's name with its part: `hit rate at 10`, `feature psi of hour`."""
    name = figure.metric.replace("_", " ")
    if not figure.part:
        return name
    return f"{name} {'at' if figure.part.isdigit() else 'of'} {figure.part.replace('_', ' ')}"


def _breaches(report: Report) -> Part:
    out = [one for one in report.judged if one.since is not None]
    notes = [Note(f"{name_of(one.figure)} is out of its bounds since {one.since}", _why(one)) for one in out]
    unbounded = [one for one in report.judged if one.bounds.low is one.bounds.high is None]
    blocks: list[Block] = [*notes] or ["No figure is out of its bounds."]
    if unbounded:
        blocks.append(
            f"{len(unbounded)} of {len(report.judged)} figures have no bounds: they need "
            f"{report.config.monitor.least_days} earlier days of their own."
        )
    return Part("Out of bounds", blocks)


def _why(one: Judged) -> str:
    low, high = _ends(one)
    lasts = "It began on this day." if one.is_new else "It is one alarm with the days before."
    between = f"between {shown(low)} and {shown(high)}" if low is not None and high is not None else ""
    between = between or (f"at most {shown(high)}" if low is None else f"at least {shown(low)}")
    return (
        f"{MEASURES[one.figure.metric].meaning.capitalize()}: {shown(_cell(one.figure.metric, one.figure.value))}, expected "
        f"{between} after {one.bounds.days} days. {lasts}"
    )


def _part(report: Report, of: str) -> Part:
    own = [one for one in report.judged if MEASURES[one.figure.metric].of == of]
    notes = [Note("Absent", why) for why in report.absent.get(of, ())]
    columns = ("figure", "days before", "value", "low", "high", "bounds by", "over")
    rows = [
        (
            name_of(one.figure),
            _line(report, one),
            _cell(one.figure.metric, one.figure.value),
            *_ends(one),
            f"{one.bounds.method}, {one.bounds.days} days",
            one.figure.n,
        )
        for one in own
    ]
    return Part(of, [*notes, *([Table(columns, rows)] if rows else [])] or ["Nothing was measured."])


def _line(report: Report, one: Judged) -> Cell:
    """The values of the days before and of the day, gaps where there are none."""
    past = {each.day: each.value for each in report.history.get((one.figure.metric, one.figure.part), ())}
    first = min(past, default=report.day)
    days = [first + timedelta(days=number) for number in range((report.day - first).days)]
    values = [*(past.get(day) for day in days), one.figure.value]
    return sparkline(name_of(one.figure), values, one.bounds.low, one.bounds.high)


def _ends(one: Judged) -> tuple[Cell, Cell]:
    low, high = (None if end is None else _cell(one.figure.metric, end) for end in (one.bounds.low, one.bounds.high))
    return low, high


def _cell(metric: str, value: float) -> float:
    return Share(value) if MEASURES[metric].scale == "share" else value


def _meanings(report: Report) -> Part:
    settings = report.config.monitor
    words = (
        f"Bounds are prediction intervals by Student's t over the last {settings.history_days} days without breaches, so wide "
        f"that all figures together are out of them by chance {settings.alarms_per_month:g} times a month. Weekdays are told "
        "apart once each has three values. Breaches of one figure on days in a row are one alarm."
    )
    shown = dict.fromkeys(one.figure.metric for one in report.judged)
    rows = [(metric.replace("_", " "), MEASURES[metric].meaning, MEASURES[metric].sides) for metric in shown]
    return Part("What the figures mean", [words, Table(("figure", "what", "bounded on"), rows)])
