"""Old slices of the tables that grow by one a night: which dates stay, and the deletion of the others.

A slice that is dropped is gone from the newest version alone: versions that runs name hold it until they are vacuumed.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Final

from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.operations.retention import Kept
from recsys_spark.runs import Run
from recsys_spark.schemas import (
    CANDIDATES,
    EVAL_EXAMPLES,
    EVENT_CONTEXTS,
    INTERACTIONS,
    ITEM_ENCODED,
    ITEM_FEATURES,
    RECOMMENDATIONS,
    RECOMMENDATIONS_CURRENT,
    SEQUENCES,
    SHOWN_POSITIONS,
    TRAIN_IMPRESSIONS,
    TRAIN_SEQUENCES,
    USER_ENCODED,
    USER_FEATURES,
    train_examples,
)

# What lists and models are made from, and what can be made again from the events.
DERIVED: Final = tuple(
    table.name
    for table in (
        INTERACTIONS,
        USER_FEATURES,
        ITEM_FEATURES,
        SEQUENCES,
        USER_ENCODED,
        ITEM_ENCODED,
        EVENT_CONTEXTS,
        train_examples(0),
        TRAIN_SEQUENCES,
        TRAIN_IMPRESSIONS,
        SHOWN_POSITIONS,
        EVAL_EXAMPLES,
        CANDIDATES,
    )
)


def drop_slices(run: Run, keeping: Kept) -> None:
    """Delete the slices of all but the newest dates; with `maintain.dry_run` only say which. O(files), a commit a table.

    Of lists `maintain.keep_dates` dates stay, and the live ones. Of what they are made from `maintain.keep_slices` dates stay,
    those of the live lists and of the models that stay, and in `item_features` those of all lists that stay, as no list goes
    to the store without it.
    """
    config, live = run.config.maintain, _live_dates(run)
    lists = RECOMMENDATIONS.name
    listed = set(run.tables.rows_by_date(lists)) if run.tables.exists(lists) else set()
    gone = _drop(run, lists, config.keep_dates, live)
    run.counts["dates_dropped"] = len(gone)
    needed = live | {model.as_of for model in keeping.models}
    spared = dict.fromkeys(DERIVED, needed) | {ITEM_FEATURES.name: needed | listed.difference(gone)}
    run.counts["slices_dropped"] = sum(len(_drop(run, name, config.keep_slices, spared[name])) for name in DERIVED)


def old_dates(there: Collection[date], most: int, spared: Collection[date]) -> list[date]:
    """The dates to drop, oldest first: neither among the newest `most` nor spared; none where `most` is 0.

    >>> old_dates({date(2024, 1, day) for day in (1, 2, 3, 4)}, 2, {date(2024, 1, 1)})
    [datetime.date(2024, 1, 2)]
    """
    newest_first = sorted(there, reverse=True)
    return sorted(set(newest_first[most:]).difference(spared)) if most else []


def _drop(run: Run, name: str, most: int, spared: Collection[date]) -> list[date]:
    """The dates that went, or would go."""
    if not most or not run.tables.exists(name):
        return []
    rows = run.tables.rows_by_date(name)
    dropped = old_dates(rows, most, spared)
    if dropped:
        dry = run.config.maintain.dry_run
        if not dry:
            run.tables.delete(name, F.col(c.AS_OF_DATE).isin(dropped))
        many = sum(rows[day] for day in dropped)
        what = f"{many:,} rows of {len(dropped)} of {len(rows)} dates, {dropped[0]} to {dropped[-1]}"
        run.notes.append(f"{name}: {'to be dropped' if dry else 'dropped'}: {what}")
    return dropped


def _live_dates(run: Run) -> set[date]:
    published = run.tables.read_or_empty(RECOMMENDATIONS_CURRENT).select(c.AS_OF_DATE).distinct()
    return {row[0] for row in collect_rows(published, "the dates of the live lists", run.config.run.driver_bytes)}
