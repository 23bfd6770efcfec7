"""All that is counted, in order: what is kept between the passes is a row a user, an item, an hour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_aggregate
from recsys_spark.explore import described, times, values
from recsys_spark.explore.entries import OTHERS, SUMMARY, UNKNOWN, Entries, Entry, entries
from recsys_spark.explore.groups import frequencies, kept, missing, new_by_week
from recsys_spark.explore.passes import HOUR, TEST, TRAIN, Windows, by_hour, counted_by
from recsys_spark.explore.shift import shifts
from recsys_spark.explore.tail import lengths, tail
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS_REJECTED, ITEM_ATTRIBUTES, USER_ATTRIBUTES
from recsys_spark.transform import USER_COLUMNS, in_sample

_BOX_GROUPS: Final = 3  # of the demographic, beside the others
_BOX_CATEGORIES: Final = 8


def explored(run: Run, events: DataFrame) -> list[Entry]:
    """The figures of all pictures, of events up to the run's date of which there is one at least."""
    top, limit = run.config.explore.top, run.config.run.driver_bytes
    windows = Windows.of(run.config.split, run.as_of)
    with ExitStack() as stack:

        def keep(frame: DataFrame) -> DataFrame:
            return stack.enter_context(kept(frame))

        hours = keep(events.transform(by_hour(windows)))
        of_users, of_items = (run.tables.read_or_empty(table) for table in (USER_ATTRIBUTES, ITEM_ATTRIBUTES))
        users = keep(events.transform(counted_by(c.USER_ID, windows)).join(of_users, on=c.USER_ID, how="left"))
        items = keep(events.transform(counted_by(c.ITEM_ID, windows)).join(of_items, on=c.ITEM_ID, how="left"))
        demographics = {name: keep(described.by_attribute(users, name)) for name in run.config.explore.by}
        categories = keep(described.by_category(items))
        days = times.days_of(hours, limit)
        found = [
            *_of_days(days, windows),
            *times.clock(hours, limit),
            *_of_users(users, demographics, top, limit),
            *_of_items(items, categories, top, limit),
            *_rejected(run),
            *shifts({"items": items, "categories": categories, **demographics, **_by_hours(hours)}, limit),
        ]
        return [*found, *_of_sample(run, events, users, items, Entries(found))]


def _of_days(days: Sequence[times.Day], windows: Windows) -> list[Entry]:
    """Events over time, in the windows, and how many of them have a value."""
    total = sum(day.events for day in days)
    without = total - sum(day.with_value for day in days)
    return [
        *entries("overview", "", {"events": {"n": total}}),
        *entries("overview", "days", {days[0].day.isoformat(): {"first": 1}, days[-1].day.isoformat(): {"last": 1}}),
        *times.over_time(days),
        *times.in_windows(days, windows),
        *entries("missing", "events", {c.EVENT_VALUE: {"missing": without, "of": total}}),
    ]


def _of_users(users: DataFrame, demographics: dict[str, DataFrame], top: int, limit: int) -> list[Entry]:
    counts = frequencies(users, limit)
    by_name = (described.of_attribute(rows, name, top, limit) for name, rows in demographics.items())
    return [
        *(entry for of_name in by_name for entry in of_name),
        *tail(counts, c.USERS),
        *lengths(counts),
        *new_by_week(users, c.USERS, limit),
        *missing(users, USER_COLUMNS, c.USERS, top, limit),
    ]


def _of_items(items: DataFrame, categories: DataFrame, top: int, limit: int) -> list[Entry]:
    return [
        *described.of_categories(categories, top, limit),
        *tail(frequencies(items, limit), c.ITEMS),
        *new_by_week(items, c.ITEMS, limit),
        *missing(items, described.ITEM_COLUMNS, c.ITEMS, top, limit),
    ]


def _rejected(run: Run) -> list[Entry]:
    """Rows of all sources so far that ingest rejected, by reason."""
    reasons = run.tables.read_or_empty(EVENTS_REJECTED).groupBy(c.REASON).agg(F.count("*").alias("rows"))
    rows = collect_aggregate(reasons.orderBy(F.desc("rows"), c.REASON), "reasons", run.config.run.driver_bytes)
    return entries("rejected", "", {row[c.REASON]: {"rows": row["rows"]} for row in rows})


def _by_hours(hours: DataFrame) -> dict[str, DataFrame]:
    """Counts by what an hour of events is, for `shifts`."""
    keys = {"event types": F.col(c.EVENT_TYPE), "hours of the day": F.hour(HOUR), "weekdays": F.weekday(F.col(HOUR))}
    return {
        name: hours.groupBy(key).agg(F.sum(TRAIN).alias(TRAIN), F.sum(TEST).alias(TEST)) for name, key in keys.items()
    }


def _of_sample(run: Run, events: DataFrame, users: DataFrame, items: DataFrame, found: Entries) -> list[Entry]:
    """What is told of a sample of the users, see `values`."""
    limit, most = run.config.run.driver_bytes, run.config.explore.sample_events
    total = found.figure("overview", "events", "n") or 0.0
    share = min(1.0, most / total) if most else 1.0
    by = next((name for name in run.config.explore.by if found.rows("users_by", name)), "")
    groups = _first(found.rows("users_by", by), _BOX_GROUPS)
    shown = _first(found.rows("categories"), _BOX_CATEGORIES)
    chosen = users.where(in_sample(share, run.seed, c.USER_ID)).count() if share < 1.0 else users.count()
    with kept(values.sample_of(events, share, run.seed)) as sample:
        return [
            *values.repeats(sample, limit),
            *entries("repeats", SUMMARY, {"sample": {"share": share, c.USERS: chosen}}),
            *values.values_by_year(sample, limit),
            *values.values_by_group(sample, users, items, by, groups, shown, limit),
        ]


def _first(labels: Iterable[str], most: int) -> list[str]:
    """The largest groups that have a name."""
    return [label for label in labels if label not in (OTHERS, UNKNOWN)][:most]
