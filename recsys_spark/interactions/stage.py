"""The index stage: `events` -> `users`, `items` (append-only), `interactions` (one slice a date)."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.interactions.carry import EarlierRun, acted, by_own_events, came_since, carried, earlier_run
from recsys_spark.interactions.core import k_core
from recsys_spark.interactions.given import given_test
from recsys_spark.interactions.index import new_ids, next_index, number
from recsys_spark.interactions.known import known_events
from recsys_spark.interactions.pairs import interactions
from recsys_spark.interactions.split import indexed, labelled, moved, positive, until
from recsys_spark.runs import Run
from recsys_spark.schemas import INTERACTIONS, ITEMS, USERS, Table
from recsys_spark.tables import SliceKey

_MEANING = ("dataset", "interactions", "split")


def run(run: Run) -> None:
    """Number what is new, then count the pairs. O(n log n) over the events up to the date, shuffled once by user.

    In a night between full trainings, only what came since is numbered, and only the pairs are counted of users for whom
    something changed; the others' are carried over.
    """
    events = known_events(run)
    if events.isEmpty():
        raise UserError(f"there are no events up to {run.as_of}: choose a later --as-of, or ingest earlier events")
    earlier = _earlier(run)
    since = F.lit(True) if earlier is None else came_since(run, earlier)
    for table, id_column, idx_column in ((USERS, c.USER_ID, c.USER_IDX), (ITEMS, c.ITEM_ID, c.ITEM_IDX)):
        _extend_index(run, events.where(since), table, id_column, idx_column)
    where: SliceKey = {c.AS_OF_DATE: run.as_of}
    if earlier is None:
        pairs = labelled_events(run, events=events).transform(interactions(run.as_of))
        run.counts["interactions"] = run.tables.replace(INTERACTIONS, pairs, where)
        return
    changed = acted(run, since | moved(run.config.split, earlier.as_of, run.as_of)).persist()
    try:
        anew = labelled_events(run, only=changed, events=events).transform(interactions(run.as_of))
        pairs = carried(run, INTERACTIONS.name, earlier, changed).unionByName(anew)
        run.counts["interactions"] = run.tables.replace(INTERACTIONS, pairs, where)
        run.counts["users_counted_anew"] = changed.count()
    finally:
        changed.unpersist()
    run.notes.append(f"users whom nothing changed for since {earlier.as_of} were carried over")


def labelled_events(
    run: Run,
    texts: Mapping[str, Column] | None = None,
    only: DataFrame | None = None,
    events: DataFrame | None = None,
) -> DataFrame:
    """The events up to the run's date, in dense indices, with the part of the split of each.

    Args:
        texts: further columns by name, each a text of the event.
        only: `user_idx` of the users whose events are wanted; None: all.
        events: `known_events`, where they are at hand.
    """
    further = dict(texts or {})
    events = (known_events(run) if events is None else events).withColumns(further)
    users, items = run.tables.read("users"), run.tables.read("items")
    users = users if only is None else users.join(only, on=c.USER_IDX, how="left_semi")
    split = run.config.split
    given = None
    if (
        split.kind == "given"
    ):  # numbers items by where they first stand in the source, in events that may be over the cap
        given = given_test(split, run.tables.read("events").where(until(run.as_of)), users, items)
    seed = run.seed if split.seed is None else split.seed
    return (
        events.transform(indexed(users, items))
        .transform(positive(run.config.interactions))
        .transform(k_core(run.config.interactions, run.say))
        .transform(labelled(split, run.as_of, seed, given, list(further)))
    )


def _earlier(run: Run) -> EarlierRun | None:
    """The night whose pairs can be carried over, which has numbered all that had come by then; None on a full night."""
    if run.training == "full" or not by_own_events(run.config):
        return None
    if not all(run.tables.exists(table.name) for table in (USERS, ITEMS)):
        return None
    return earlier_run(run, INTERACTIONS.name, *_MEANING)


def _extend_index(run: Run, events: DataFrame, table: Table, id_column: str, idx_column: str) -> None:
    index = run.tables.read_or_empty(table)
    fresh = new_ids(events, index, id_column).persist()
    try:
        added = 0
        if not fresh.isEmpty():
            numbered = number(fresh, id_column, idx_column, next_index(index, idx_column))
            added = run.tables.append(table, numbered.withColumn(c.RUN_ID, F.lit(run.run_id)))
        run.counts[f"new_{table.name}"] = added
    finally:
        fresh.unpersist()
