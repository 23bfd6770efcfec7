"""The features of a night without training: those of the production fit alone, and only of users who acted anew."""

from __future__ import annotations

from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.features.counts import item_features, segments, user_features
from recsys_spark.features.sequences import sequences
from recsys_spark.interactions.carry import Earlier, acted, carried, earlier_run, moved_days
from recsys_spark.interactions.split import indexed, positive, until
from recsys_spark.interactions.stage import labelled_events
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_FEATURES, SEQUENCES, USER_ATTRIBUTES, USER_FEATURES
from recsys_spark.tables import SliceKey

_MEANING: Final = ("dataset", "interactions", "split", "features")
_FIT: Final = "production"


def earlier_features(run: Run) -> Earlier | None:
    """The run whose slices can be carried over, where this night keeps its model and there is one; else None."""
    if run.training != "keep" or moved_days(run.config) is None:
        return None
    earlier = earlier_run(run, *_MEANING)
    if earlier is None or run.tables.read(USER_FEATURES.name, {c.AS_OF_DATE: earlier.as_of, c.FIT: _FIT}).isEmpty():
        return None
    return earlier


def carry_features(run: Run, earlier: Earlier) -> None:
    """Write the production slices of `user_features`, `item_features` and `sequences`: all that lists of a kept model need.

    Users: O(rows) carried over, and the events of those who acted. Items are counted anew: one shuffle of the events by item.
    """
    config = run.config
    changed = acted(run, earlier).persist()
    try:
        known = labelled_events(run, only=changed).where(c.POSITIVE).persist()
        of_user = segments(
            run.tables.read("users"), run.tables.read_or_empty(USER_ATTRIBUTES), config.recommend.segment
        )
        of_fit: SliceKey = {c.FIT: _FIT}
        where: SliceKey = {c.AS_OF_DATE: run.as_of, **of_fit}

        kept = carried(run, USER_FEATURES.name, earlier, changed, of_fit).drop(c.SEGMENT)
        users = kept.join(of_user, on=c.USER_IDX, how="left").unionByName(
            known.transform(user_features(run.as_of, _FIT, of_user))
        )
        run.counts[f"user_features_{_FIT}"] = run.tables.replace(USER_FEATURES, users, where)

        in_order = known.transform(sequences(run.as_of, _FIT, config.features.sequence_length))
        old = carried(run, SEQUENCES.name, earlier, changed, of_fit)
        run.counts[f"sequences_{_FIT}"] = run.tables.replace(SEQUENCES, old.unionByName(in_order), where)

        items = _positive_events(run).transform(item_features(run.as_of, _FIT))
        run.counts[f"item_features_{_FIT}"] = run.tables.replace(ITEM_FEATURES, items, where)
        run.counts["users_who_acted"] = changed.count()
        run.notes.append(
            f"users who did not act since {earlier.as_of} were carried over; no fit but {_FIT} has a slice"
        )
        known.unpersist()
    finally:
        changed.unpersist()


def _positive_events(run: Run) -> DataFrame:
    events = run.tables.read("events").where(until(run.as_of)).transform(positive(run.config.interactions))
    users, items = run.tables.read("users"), run.tables.read("items")
    return events.where(F.col(c.POSITIVE)).transform(indexed(users, items))
