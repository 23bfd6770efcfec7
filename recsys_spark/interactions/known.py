"""The events that count: those up to the run's date, and of a user who has too many of them the latest alone.

A user with a million events is a crawler, a till or a broken feed. Stages hold one user's history at a time, so that their
memory hangs on the longest; and whoever acts a thousand times as often as others would be a large part of what is learnt.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.interactions.split import until
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS
from recsys_spark.transform import Transformer

_OLDEST = "oldest"  # of the events that are kept
_PLACE = "place"
_NAMED = 3


def known_events(run: Run) -> DataFrame:
    """Events up to the run's date, of each user the latest `interactions.max_user_events`; a note says what is left out.

    Nothing is read for it where the table has no more rows than that in all. Else a pass over the users' ids, of which counts
    are shuffled, and only where a user is over the cap a sort of such users' events. O(events).
    """
    events = run.tables.read(EVENTS.name).where(until(run.as_of))
    most = run.config.interactions.max_user_events
    if not most or run.tables.size(EVENTS.name).rows <= most:
        return events
    over = over_the_cap(events, most, run.config.run.driver_bytes)
    if not over:
        return events
    left_out = sum(row[c.EVENTS] - most for row in over)
    run.counts |= {"users_over_the_cap": len(over), "events_over_the_cap": left_out}
    note = _note(over, most, left_out)
    run.notes += [] if note in run.notes else [note]
    return events.transform(without_older(over))


def over_the_cap(events: DataFrame, most: int, limit: int) -> list[Row]:
    """`(user_id, events, oldest)` of users with more than `most` events, most first; `oldest` is where the last kept stands.

    The latest `most` are kept, ties of time broken by event_order and then event_id. No more rows than events / `most`.

    Args:
        limit: bytes that may come to the driver.
    """
    what = "users with more events than interactions.max_user_events"
    counted = events.groupBy(c.USER_ID).agg(F.count("*").alias(c.EVENTS)).where(F.col(c.EVENTS) > most).persist()
    users = collect_rows(counted, what, limit)
    counted.unpersist()
    if not users:
        return []
    few = events.sparkSession.createDataFrame(users, counted.schema)
    newest_first = Window.partitionBy(c.USER_ID).orderBy(F.desc(_PLACE))
    nth = F.row_number().over(newest_first)
    of_few = events.select(c.USER_ID, _place().alias(_PLACE)).join(F.broadcast(few), on=c.USER_ID, how="inner")
    last_kept = of_few.withColumn("nth", nth).where(F.col("nth") == most)
    found = collect_rows(last_kept.select(c.USER_ID, c.EVENTS, F.col(_PLACE).alias(_OLDEST)), what, limit)
    return sorted(found, key=lambda row: (-row[c.EVENTS], row[c.USER_ID]))


def without_older(over: Sequence[Row]) -> Transformer:
    """Events -> the same without what users of `over_the_cap` have before the oldest that is kept. One pass, no shuffle."""

    def keep(events: DataFrame) -> DataFrame:
        names = (c.USER_ID, c.EVENT_TIME, c.EVENT_ORDER, c.EVENT_ID)
        rows = [(row[c.USER_ID], *row[_OLDEST]) for row in over]
        flat = events.sparkSession.createDataFrame(
            rows, f"{names[0]} string, {names[1]} long, {names[2]} long, {names[3]} string"
        )
        oldest = flat.select(c.USER_ID, F.struct(*names[1:]).alias(_OLDEST))
        marked = events.join(F.broadcast(oldest), on=c.USER_ID, how="left")
        return marked.where(F.col(_OLDEST).isNull() | (_place() >= F.col(_OLDEST))).select(*events.columns)

    return keep


def _place() -> Column:
    """Where an event stands in the order of time; a time is a number, which no zone of this machine bends on its way."""
    return F.struct(F.unix_micros(c.EVENT_TIME).alias(c.EVENT_TIME), c.EVENT_ORDER, c.EVENT_ID)


def _note(over: Sequence[Row], most: int, left_out: int) -> str:
    """`1 user had more than 100,000 events ('u1': 1,000,000): the latest of each count, 900,000 are left out; ...`"""
    named = ", ".join(f"{row[c.USER_ID]!r}: {row[c.EVENTS]:,}" for row in over[:_NAMED])
    further = f" and {len(over) - _NAMED:,} more" if len(over) > _NAMED else ""
    return (
        f"{len(over):,} user{'s' if len(over) > 1 else ''} had more than {most:,} events ({named}{further}): the latest {most:,} "
        f"of each count, {left_out:,} are left out; see interactions.max_user_events"
    )
