"""Parts on how much: long tail, lengths of histories, repeats and sparsity, what is missing, what was rejected."""

from __future__ import annotations

from recsys_spark import columns as c
from recsys_spark.explore.entries import SUMMARY, Entries
from recsys_spark.explore.wording import Words, absent, count, seen, with_share
from recsys_spark.pages import Facts, Figure, Part, Share, Table, bars, columns, lines


def density(found: Entries) -> float | None:
    """The share of all pairs of a user and an item that have an event; of a sample's pairs, scaled to all events."""
    pairs, of_pairs = _repeats(found)
    events, users, items = _sizes(found)
    return pairs * events / of_pairs / (users * items) if of_pairs else None


def repeat_share(found: Entries) -> Share | None:
    """The share of the events whose user had the item before; None where nobody was in the sample."""
    pairs, events = _repeats(found)
    return Share(1.0 - pairs / events) if events else None


def tail(found: Entries, words: Words) -> Part:
    """How much of all goes to the most popular items and the most active users."""
    title, one = "Long tail", found.rows("tail", SUMMARY)
    facts: Facts = {f"Gini index of {name}": row["gini"] for name, row in one.items()} | {
        f"{name} with one event": Share(row["with_one_event"] / row["n"]) for name, row in one.items()
    }
    curves = {name: found.rows("tail", name) for name in one}
    shares = [float(label) for label in next(iter(curves.values()))]
    heights: dict[str, list[float | None]] = {
        name: [0.0, *[100 * row["share"] for row in rows.values()]] for name, rows in curves.items()
    }
    places = [0.0, *[100 * share for share in shares]]
    unit = f"percent of the {words.events}"
    chart = lines(title, places, heights, "percent of the items or users, the largest first", unit)
    tenth = " and of ".join(f"{name} {rows['0.1']['share']:.1%}" for name, rows in curves.items())
    alt = f"Lines: the top 10% of {tenth} of the {words.events}."
    table = Table(
        ["the top", *[f"of {name} have" for name in curves]],
        [[Share(share), *[Share(rows[f"{share:g}"]["share"]) for rows in curves.values()]] for share in shares],
    )
    note = "A straight line from corner to corner would be: all have the same, Gini index 0."
    return Part(title, [facts, Figure(chart, alt, table, note)])


def lengths(found: Entries, words: Words) -> Part:
    """How many events users have."""
    title, rows, one = "History lengths", found.rows("lengths"), found.rows("lengths", SUMMARY)["users"]
    facts: Facts = {
        "median": count(one["median"]), "mean": one["mean"], "95th percentile": count(one["p95"]), "longest": count(one["max"]),
    }  # fmt: skip
    users = [row[c.USERS] for row in rows.values()]
    total, events = sum(users), sum(row[c.EVENTS] for row in rows.values())
    chart = columns(title, list(rows), users, f"{words.events} of a user", "users")
    table = Table(
        [f"{words.events} of a user", "users", "share of users", f"share of {words.events}"],
        [
            [label, count(row[c.USERS]), Share(row[c.USERS] / total), Share(row[c.EVENTS] / events)]
            for label, row in rows.items()
        ],
    )
    alt = seen("Columns of users by the length of their history", rows, [with_share(one, total) for one in users])
    return Part(title, [facts, Figure(chart, alt, table, "Classes double in width.")])


def repeats(found: Entries, words: Words) -> Part:
    """How often users take again what they had, and how few of all pairs there are."""
    title, rows = "Repeats and sparsity", found.rows("repeats")
    facts: Facts = {
        "events whose user had the item before": repeat_share(found),
        "pairs of user and item with an event": _percent(density(found)),
    }
    if not rows:
        return absent(title, "Nobody was in the sample of users: raise explore.sample_events.")
    share = found.figure("repeats", "sample", "share", SUMMARY) or 1.0
    users = found.figure("repeats", "sample", c.USERS, SUMMARY) or 0.0
    sampled = "" if share >= 1.0 else f"Of {users:,.0f} users chosen by hash, {share:.1%} of all."
    if list(rows) == ["1"]:
        return Part(title, [facts, f"No user took an item twice. {sampled}".strip()])
    pairs = [row["pairs"] for row in rows.values()]
    table = Table(
        ["times taken", "pairs", "share of pairs", f"share of {words.events}"],
        [
            [
                label,
                count(row["pairs"]),
                Share(row["pairs"] / sum(pairs)),
                Share(row[c.EVENTS] / sum(each[c.EVENTS] for each in rows.values())),
            ]
            for label, row in rows.items()
        ],
    )
    chart = columns(title, list(rows), pairs, "times a user took an item", "pairs of user and item")
    alt = seen("Columns of pairs by times taken", rows, [with_share(one, sum(pairs)) for one in pairs])
    return Part(title, [facts, Figure(chart, alt, table, sampled)])


def missing(found: Entries) -> Part:
    """What is not known of events, users and items."""
    title = "Missing values"
    rows = [
        (f"{label} of {series}", row["missing"], row["of"])
        for series in found.series("missing")
        for label, row in found.rows("missing", series).items()
    ]
    ordered = sorted(rows, key=lambda row: (-row[1] / row[2], row[0]))
    gaps = [row for row in ordered if row[1] > 0]
    table = Table(
        ["column", "missing", "share"],
        [[name, count(absent_of), Share(absent_of / of)] for name, absent_of, of in ordered],
    )
    note = "Of users and items with events; names beside the known columns are keys of `attributes`."
    if not gaps:
        return Part(title, ["Nothing is missing.", table])
    labels, shares = [name for name, _, _ in gaps], [100 * lacking / of for _, lacking, of in gaps]
    said = [with_share(lacking, of) for _, lacking, of in gaps]
    return Part(
        title, [Figure(bars(title, labels, shares, "percent missing", said), seen("Bars", labels, said), table, note)]
    )


def rejected(found: Entries) -> Part:
    """Rows that ingest did not take, by reason."""
    title, rows = "Rejected rows", found.rows("rejected")
    if not rows:
        return Part(title, ["No row was rejected, or the events came from elsewhere than jobs/ingest.py."])
    counts = [row["rows"] for row in rows.values()]
    total = sum(counts)
    said = [with_share(one, total) for one in counts]
    table = Table(
        ["reason", "rows", "share"],
        [[name, count(row["rows"]), Share(row["rows"] / total)] for name, row in rows.items()],
    )
    note = (
        "Of events and attributes, of all that was ever ingested below this root; table `events_rejected` has the rows."
    )
    return Part(title, [Figure(bars(title, list(rows), counts, "rows", said), seen("Bars", rows, said), table, note)])


def _percent(share: float | None) -> str | None:
    """A share that may be tiny."""
    return None if share is None else f"{100 * share:.3g}%"


def _repeats(found: Entries) -> tuple[float, float]:
    rows = found.rows("repeats").values()
    return sum(row["pairs"] for row in rows), sum(row[c.EVENTS] for row in rows)


def _sizes(found: Entries) -> tuple[float, float, float]:
    events = found.figure("overview", "events", "n")
    users, items = (found.figure("tail", name, "n", SUMMARY) for name in (c.USERS, c.ITEMS))
    assert events and users and items
    return events, users, items
