"""The page: figures of `exploration` in, parts with pictures out. No Spark."""

from __future__ import annotations

from datetime import date

from recsys_spark import columns as c
from recsys_spark.explore import parts_counts, parts_groups, parts_time
from recsys_spark.explore.entries import SUMMARY, Entries
from recsys_spark.explore.wording import Words, absent, count
from recsys_spark.pages import Facts, Page, Part
from recsys_spark.settings import Config


def report(found: Entries, config: Config, as_of: date) -> Page:
    """All parts in the order in which questions come up; what a data set cannot show says so."""
    words = Words.of(found)
    timeless = config.ingest.format == "sequence_file"
    parts = [
        *(parts_groups.by_attribute(found, words, name) for name in config.explore.by),
        parts_groups.categories(found, words),
        parts_groups.values_by_group(found, words),
        *_when(found, words, timeless),
        parts_counts.tail(found, words),
        parts_counts.lengths(found, words),
        parts_counts.repeats(found, words),
        parts_counts.missing(found),
        parts_counts.rejected(found),
    ]
    days = list(found.rows("overview", "days"))
    lead = f"Data set {config.dataset}, {words.events} from {days[0]} to {days[-1]}, as of {as_of}. Times are UTC."
    return Page(f"Exploration of {config.dataset}", lead, parts, _facts(found, words))


def _when(found: Entries, words: Words, timeless: bool) -> list[Part]:
    """The parts on times, where there are any."""
    if timeless:
        why = "The source has no times, only the order of its lines: years, hours, weeks and windows would be made up."
        return [absent("Over time", why)]
    return [
        parts_groups.values_by_year(found, words),
        parts_time.over_time(found, words),
        parts_time.clock(found, words),
        parts_time.new_by_week(found),
        parts_time.windows(found, words),
    ]


def _facts(found: Entries, words: Words) -> Facts:
    users, items = (found.figure("tail", name, "n", SUMMARY) for name in (c.USERS, c.ITEMS))
    return {
        words.events: count(found.figure("overview", "events", "n")),
        "users": count(users),
        "items": count(items),
        f"{words.events} of the median user": count(found.figure("lengths", "users", "median", SUMMARY)),
        "repeats": parts_counts.repeat_share(found),
    }
