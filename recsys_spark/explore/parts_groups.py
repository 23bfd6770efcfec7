"""Parts on who and what: events by demographic and by category, and their values by both and by year."""

from __future__ import annotations

from recsys_spark import columns as c
from recsys_spark.explore.entries import ALL, OTHERS, SUMMARY, Entries, Statistics
from recsys_spark.explore.wording import Words, absent, count, named, seen, with_share
from recsys_spark.pages import Box, Figure, Part, Share, Table, bars, boxes, boxes_over_time
from recsys_spark.pages.words import Cell, shown

_NO_VALUE = "No event has a value (or nobody was in the sample of users: explore.sample_events sets how large it is)."
_WHISKERS = (
    "A box reaches from the lower to the upper quartile, the thick line is the median and the diamond the mean, whiskers reach "
    "from the 5th to the 95th percentile."
)


def by_attribute(found: Entries, words: Words, name: str) -> Part:
    """Events and users by a demographic."""
    title, rows = f"{words.events.capitalize()} by {_plain(name)}", found.rows("users_by", name)
    if not rows:
        why = f"No user with an event has a value of `{name}`. explore.by names the user attributes that are looked at."
        return absent(title, why)
    total = sum(row[c.EVENTS] for row in rows.values())
    users = sum(row[c.USERS] for row in rows.values())
    table = Table(
        [_plain(name), words.events, "share", "users", "share of users", f"{words.events} a user"],
        [
            [
                named(label, row),
                count(row[c.EVENTS]),
                Share(row[c.EVENTS] / total),
                count(row[c.USERS]),
                Share(row[c.USERS] / users),
                row[c.EVENTS] / row[c.USERS],
            ]
            for label, row in rows.items()
        ],
    )
    return Part(title, [_bars(title, rows, total, words.events, table)])


def categories(found: Entries, words: Words) -> Part:
    """The best-selling categories."""
    title, rows = f"{words.events.capitalize()} by category", found.rows("categories")
    if not rows:
        return absent(title, "No item with an event has a category.")
    total = found.figure("overview", "events", "n") or 0.0
    several = sum(row[c.EVENTS] for row in rows.values()) > total
    table = Table(
        ["category", words.events, "share", "items"],
        [
            [named(label, row), count(row[c.EVENTS]), Share(row[c.EVENTS] / total), count(row[c.ITEMS])]
            for label, row in rows.items()
        ],
    )
    why = "An item of several categories counts in each, so shares add up to more than 100%." if several else ""
    return Part(title, [_bars(title, rows, total, words.events, table, why)])


def values_by_group(found: Entries, words: Words) -> Part:
    """Values by demographic and category."""
    by = next(iter(found.rows("values_by_group", SUMMARY)), ALL)
    groups = [series for series in found.series("values_by_group") if series != SUMMARY]
    labels = {label for group in groups for label in found.rows("values_by_group", group)}
    over = [_plain(by)] * (groups != [ALL]) + ["category"] * (labels != {ALL})
    title = f"{words.values.capitalize()} by {' and '.join(over) if over and groups else 'group'}"
    if not groups:
        return absent(title, _NO_VALUE)
    drawn = [
        _box(label, row, "" if group == ALL else group)
        for group in groups
        for label, row in found.rows("values_by_group", group).items()
    ]
    in_order = list(dict.fromkeys(box.label for box in drawn))
    ordered = sorted(drawn, key=lambda box: in_order.index(box.label))
    medians = [f"median {box.median:g} ({box.n:,})" for box in ordered]
    names = [f"{box.label} {box.series}".strip() for box in ordered]
    alt = seen(f"Box plots, {title.lower()}", names, medians)
    chart = boxes(title, ordered, words.value)
    return Part(title, [Figure(chart, alt, _table_of(ordered, words), f"{_WHISKERS} {_sampled(found)}")])


def values_by_year(found: Entries, words: Words) -> Part:
    """Values by the year of the event, with counts."""
    title, rows = f"{words.values.capitalize()} over the years", found.rows("values_by_year")
    if not rows:
        return absent(title, _NO_VALUE)
    drawn = [_box(year, row) for year, row in rows.items()]
    medians = [f"median {box.median:g} ({box.n:,})" for box in drawn]
    alt = seen("Box plots by year with counts below", [box.label for box in drawn], medians)
    chart = boxes_over_time(title, drawn, words.value, "year", words.events)
    return Part(title, [Figure(chart, alt, _table_of(drawn, words), f"{_WHISKERS} {_sampled(found)}")])


def _bars(title: str, rows: dict[str, Statistics], total: float, unit: str, table: Table, caption: str = "") -> Figure:
    """Bars of the groups that have a name: all others together may be many times the largest."""
    drawn = {label: row[c.EVENTS] for label, row in rows.items() if label != OTHERS}
    said = [with_share(events, total) for events in drawn.values()]
    if OTHERS in rows:
        others = f"{named(OTHERS, rows[OTHERS])}, with {with_share(rows[OTHERS][c.EVENTS], total)}, are not drawn."
        caption = f"{others} {caption}".strip()
    chart = bars(title, list(drawn), list(drawn.values()), unit, said)
    return Figure(chart, seen(f"Bars, {title.lower()}", drawn, said), table, caption)


def _box(label: str, row: Statistics, series: str = "") -> Box:
    return Box(
        label, row["p5"], row["p25"], row["median"], row["p75"], row["p95"], round(row["n"]), row["mean"], series
    )


def _table_of(drawn: list[Box], words: Words) -> Table:
    told_apart = any(box.series for box in drawn)
    columns = ["group", *["of"] * told_apart, words.events, "5%", "25%", "median", "75%", "95%", "mean"]
    rows: list[list[Cell]] = [
        [box.label, *[box.series] * told_apart, box.n, box.low, box.q1, box.median, box.q3, box.high, box.mean]
        for box in drawn
    ]
    return Table(columns, rows)


def _sampled(found: Entries) -> str:
    """What the quantiles are taken over, in words."""
    share, users = (found.figure("repeats", "sample", name, SUMMARY) for name in ("share", c.USERS))
    if share is None or users is None or share >= 1.0:
        return "Quantiles are exact, over all events that have a value."
    return (
        f"Counts and quantiles are of {users:,.0f} users chosen by hash, {shown(Share(share))} of all, with all their events; "
        "within them quantiles are exact. explore.sample_events sets how many."
    )


def _plain(name: str) -> str:
    return name.replace("_", " ")
