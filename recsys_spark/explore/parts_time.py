"""Parts on when: events over time, by hour and weekday, new users and items, the windows of train and test."""

from __future__ import annotations

from datetime import date, timedelta

from recsys_spark import columns as c
from recsys_spark.explore.entries import SUMMARY, Entries, Statistics
from recsys_spark.explore.wording import Words, absent, count, seen, with_share
from recsys_spark.pages import Figure, Part, Share, Table, bars, columns, lines

_WEEK = timedelta(days=7)


def over_time(found: Entries, words: Words) -> Part:
    """Events by day, week, month or year, a line a type."""
    period = next(iter(found.rows("over_time", SUMMARY)))
    series = {name: found.rows("over_time", name) for name in found.series("over_time") if name != SUMMARY}
    starts = list(dict.fromkeys(start for rows in series.values() for start in rows))
    counts = {name: [rows[start][c.EVENTS] for start in starts] for name, rows in series.items()}
    title, unit = f"{words.events.capitalize()} over time", f"{words.events} a {period}"
    dates = [date.fromisoformat(start) for start in starts]
    most = max((sum(of_start), start) for *of_start, start in zip(*counts.values(), starts, strict=True))
    alt = f"Lines of {unit}, {starts[0]} to {starts[-1]}; the most, {most[0]:,.0f}, in the {period} of {most[1]}."
    table = Table(
        [period, *series],
        [[start, *[count(of_type[at]) for of_type in counts.values()]] for at, start in enumerate(starts)],
    )
    ends = "" if period == "day" else f"The first and the last {period} may be cut off by the data."
    return Part(
        title, [Figure(lines(title, dates, dict(counts), f"first day of the {period}", unit), alt, table, ends)]
    )


def clock(found: Entries, words: Words) -> Part:
    """Events by hour of the day and by weekday."""
    title = "By hour and weekday"
    hours = found.rows("hours")
    if sum(row[c.EVENTS] > 0 for row in hours.values()) == 1:
        why = "All times are of one hour of the day: the source tells days, and no hours."
        return Part(
            title, [*absent(title, why).blocks, _columns("By weekday", found.rows("weekdays"), "weekday (UTC)", words)]
        )
    return Part(
        title,
        [
            _columns("By hour of the day", hours, "hour (UTC)", words),
            _columns("By weekday", found.rows("weekdays"), "weekday (UTC)", words),
        ],
    )


def new_by_week(found: Entries) -> Part:
    """Users and items by the week of their first event."""
    title = "New users and items by week"
    series = {name: found.rows("new_by_week", name) for name in found.series("new_by_week")}
    known = [date.fromisoformat(week) for rows in series.values() for week in rows]
    weeks = [min(known) + number * _WEEK for number in range((max(known) - min(known)) // _WEEK + 1)]
    counts = {name: [rows.get(week.isoformat(), {}).get("new", 0.0) for week in weeks] for name, rows in series.items()}
    first = " and ".join(f"{with_share(of_week[0], sum(of_week))} of the {name}" for name, of_week in counts.items())
    alt = f"Lines of new users and items a week; in the first week {first}."
    table = Table(
        ["week of", *[f"new {name}" for name in counts]],
        [[week.isoformat(), *[count(of_week[at]) for of_week in counts.values()]] for at, week in enumerate(weeks)],
    )
    chart = lines(title, weeks, dict(counts), "Monday of the week", "first seen in the week")
    note = "In the first weeks of a data set everyone is new."
    return Part(title, [Figure(chart, alt, table, note)])


def windows(found: Entries, words: Words) -> Part:
    """How far the days of test differ from those of train."""
    title = "Train and test windows"
    events, shifts = found.rows("windows", "events"), found.rows("windows", "shift")
    if not shifts:
        why = "One of the two windows has no event: split.test_days are the last days, split.validation_days those before them."
        return absent(title, why)
    told = Table(
        ["window", "days with events", words.events, f"mean {words.value}"],
        [[name, count(row["days"]), count(row[c.EVENTS]), row.get("mean_value")] for name, row in events.items()],
        "Test: the last split.test_days; train: all before the split.validation_days before them, whatever split.kind is.",
    )
    ordered = sorted(shifts.items(), key=lambda entry: (-entry[1]["divergence"], entry[0]))
    names, divergences = [name for name, _ in ordered], [row["divergence"] for _, row in ordered]
    table = Table(
        ["distribution over", "divergence, bits", "test events of what train never saw"],
        [[name, row["divergence"], Share(row["unseen"])] for name, row in ordered],
    )
    said = [f"{one:.3f}" for one in divergences]
    chart = bars(title, names, divergences, "Jensen-Shannon divergence, bits", said)
    note = (
        "0: the two are the same; 1: they have nothing in common. Where test has few events for many items, the divergence of "
        "items is high by chance alone."
    )
    return Part(title, [told, Figure(chart, seen("Bars of divergences", names, said), table, note)])


def _columns(title: str, rows: dict[str, Statistics], unit: str, words: Words) -> Figure:
    events = [row[c.EVENTS] for row in rows.values()]
    total = sum(events)
    most = max(rows, key=lambda label: rows[label][c.EVENTS])
    alt = f"Columns of {words.events} by {unit}; the most, {with_share(max(events), total)}, at {most}."
    table = Table(
        [unit, words.events, "share"],
        [[label, count(row[c.EVENTS]), Share(row[c.EVENTS] / total)] for label, row in rows.items()],
    )
    labels = [label[:3] for label in rows]
    return Figure(columns(title, labels, events, unit, words.events), alt, table)
