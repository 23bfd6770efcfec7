"""The verdict page: what to do, why, and every figure behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from recsys_spark import columns as c
from recsys_spark.experiment_settings import Experiment
from recsys_spark.experiments.findings import UNTESTABLE, Finding
from recsys_spark.experiments.outcomes import ALL
from recsys_spark.experiments.verdict import Verdict, mismatch
from recsys_spark.pages import Block, Chart, Figure, Note, Page, Part, Share, Table, lines, style

_ROW, _AROUND = 0.3, 0.75  # inches
_TESTS = {
    "sequential": "Intervals and p-values hold at every look: the experiment may be looked at each day, and ended at any.",
    "fixed": "Intervals and p-values hold for one look, at the designed number of users.",
}


@dataclass(frozen=True)
class Report:
    """All that a page shows. `design` is the row of `experiments`, `looks` rows of `experiment_results` by date."""

    experiment: Experiment
    as_of: date
    design: Mapping[str, Any]
    found: Sequence[Finding]
    verdicts: Sequence[Verdict]
    counts: Mapping[str, int]
    users: Mapping[str, int]
    looks: Sequence[Mapping[str, Any]]


def page(report: Report) -> Page:
    """The page of one analysis."""
    experiment = report.experiment
    lead = f"As of {report.as_of}. Control: {experiment.control}. Primary metric: {experiment.primary}. {_TESTS[experiment.test]}"
    main = [one for one in report.found if one.segment == ALL]
    parts = [
        Part("Verdict", [Note(f"{one.variant}: {one.verdict}", one.reason) for one in report.verdicts]),
        Part("Effects", _effects(main, experiment)),
        Part("Users", _users(report)),
        Part("Looks", _looks(report)),
    ]
    explored = [one for one in report.found if one.segment != ALL and one.metric == experiment.primary]
    if explored:
        words = (
            "Nobody planned to look here, and among many segments some differ by chance. What stands out is a "
            "question for another experiment, no answer of this one."
        )
        shown = [one for one in explored if _has_lift(one)]
        chart = [_forest(f"{experiment.primary} by segment", shown, "segment")] if shown else []
        parts.append(Part("Segments", [Note("Exploratory", words), *chart, _values(explored, "segment")]))
    return Page(f"Experiment {experiment.name}", lead, parts)


def _effects(main: Sequence[Finding], experiment: Experiment) -> list[Block]:
    shown = [one for one in main if _has_lift(one)]
    margins = [
        f"{name} may lose {metric.margin:.1%}"
        for name, metric in experiment.metrics.items()
        if metric.role == "guardrail"
    ]
    words = f"Intervals at {1 - experiment.alpha:.0%}, each by itself; corrected p-values: {experiment.correction}."
    return [
        *([_forest("Lift over the control", shown, "metric")] if shown else []),
        f"{words} {'Guardrails: ' + '; '.join(margins) + '.' if margins else ''}",
        _tests(main),
        _values(main, "metric"),
        *[
            Note(f"{one.metric} of {one.variant} cannot be tested", one.reason)
            for one in main
            if one.status == UNTESTABLE
        ],
    ]


def _tests(found: Sequence[Finding]) -> Table:
    """What changed, and how sure that is."""
    rows = [
        (
            one.metric,
            one.variant,
            one.status,
            *(_lift(one) if _has_lift(one) else (None, None, None)),
            one.p_value,
            one.p_adjusted,
        )
        for one in found
    ]
    return Table(("metric", "variant", "status", "lift", "low", "high", "p", "p corrected"), rows)


def _values(found: Sequence[Finding], by: str) -> Table:
    """The metric in both groups."""
    rows = [
        (
            getattr(one, by),
            one.variant,
            one.effect.users,
            one.effect.treated,
            one.effect.users_control,
            one.effect.control,
            Share(one.effect.variance_cut),
        )
        for one in found
        if one.effect is not None
    ]
    columns = (by, "variant", "users", "value", "control users", "control value", "cut by CUPED")
    return Table(columns, rows)


def _users(report: Report) -> list[Block]:
    shares, total = report.experiment.variants, sum(report.users.values())
    p = mismatch(shares, report.users)
    rows = [(name, report.users.get(name, 0), share * total) for name, share in shares.items()]
    words = (
        f"Sample-ratio mismatch: p = {p:.3g}; below {report.experiment.mismatch_alpha:g} the experiment is invalid. "
        f"Designed for {report.design[c.USERS]:,} users over {report.design['days']} days from {report.design['starts']}, to "
        f"find a change of {report.design['minimum_effect']:.1%}."
    )
    return [
        words,
        Table(("variant", "users exposed", "expected"), rows),
        Table(("what", "count"), list(report.counts.items())),
    ]


def _looks(report: Report) -> list[Block]:
    """The primary metric's lift at each date it was analysed."""
    known = [row for row in report.looks if row["lift"] is not None]
    dates = sorted({row[c.AS_OF_DATE] for row in known})
    series: dict[str, list[float | None]] = {}
    for name in report.experiment.treatments:
        for column, words in (("lift", name), ("lift_low", f"{name}, lower end"), ("lift_high", f"{name}, upper end")):
            by_date = {row[c.AS_OF_DATE]: row[column] for row in known if row[c.VARIANT] == name}
            series[words] = [by_date.get(day) for day in dates]
    if len(dates) < 2:
        return ["Looked at once so far."]
    chart = lines("Lift at each look", dates, series, "as of", f"lift of {report.experiment.primary}", from_zero=False)
    rows = [
        (row[c.AS_OF_DATE], row[c.VARIANT], row["lift"], row["lift_low"], row["lift_high"], row["p_value"])
        for row in known
    ]
    table = Table(("as of", "variant", "lift", "lower end", "upper end", "p"), rows)
    return [Figure(chart, "The lift of each treatment with both ends of its interval, by date of the look.", table)]


def _forest(title: str, found: Sequence[Finding], by: str) -> Figure:
    """A line an interval of the lift, the estimate marked on it, and zero."""
    labels = [f"{getattr(one, by)}, {one.variant}" for one in found]
    rows = [(label, *_lift(one)) for label, one in zip(labels, found, strict=True)]

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=style.PALE, linewidth=1)
        for place, (_, lift, low, high) in enumerate(rows):
            axes.plot([100 * low, 100 * high], [place, place], color=style.colour(0), linewidth=2)
            axes.plot(100 * lift, place, marker="o", color=style.colour(1), markersize=6)
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_xlabel("lift and its interval, %")

    alt = "; ".join(f"{label}: {lift:+.2%}, from {low:+.2%} to {high:+.2%}" for label, lift, low, high in rows)
    table = Table((by, "lift", "lower end", "upper end"), rows)
    return Figure(Chart(title, draw, _AROUND + _ROW * len(rows)), alt, table)


def _has_lift(one: Finding) -> bool:
    return one.effect is not None and not math.isnan(one.effect.lift) and not math.isnan(one.reach)


def _lift(one: Finding) -> tuple[Share, Share, Share]:
    """The lift and both ends of its interval."""
    assert one.effect is not None
    low, high = one.lift_interval
    return Share(one.effect.lift), Share(low), Share(high)
