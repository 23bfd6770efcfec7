"""The features of a night between full trainings: of users for whom nothing changed they are carried over."""

from __future__ import annotations

from typing import Final

from pyspark.sql import DataFrame

from recsys_spark import columns as c
from recsys_spark.features.counts import item_features, segments, user_features
from recsys_spark.features.sequences import sequences
from recsys_spark.interactions.carry import EarlierRun, acted, by_own_events, came_since, carried, earlier_run
from recsys_spark.interactions.known import known_events
from recsys_spark.interactions.split import PARTS_OF_FIT, in_parts, indexed, moved, positive
from recsys_spark.interactions.stage import labelled_events
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_FEATURES, SEQUENCES, USER_ATTRIBUTES, USER_FEATURES
from recsys_spark.settings import Fit
from recsys_spark.tables import SliceKey

_MEANING: Final = ("dataset", "interactions", "split", "features")
_PRODUCTION: Final[Fit] = "production"


def earlier_features(run: Run) -> EarlierRun | None:
    """The run whose slices can be carried over; None on a full night, and where there is no such run.

    None also on a warm night with declared features: what is learnt of them changes everyone's rows.
    """
    if run.training == "full" or not by_own_events(run.config):
        return None
    if run.training == "warm" and run.config.features.declared:
        return None
    earlier = earlier_run(run, USER_FEATURES.name, *_MEANING)
    if earlier is None:
        return None
    of_users = [(USER_FEATURES.name, fit) for fit in _fits_of_counts(run)]
    of_order = [(SEQUENCES.name, fit) for fit in _fits_of_sequences(run)]
    for name, fit in (*of_users, *of_order):
        if run.tables.read(name, {c.AS_OF_DATE: earlier.as_of, c.FIT: fit}).isEmpty():
            return None
    return earlier


def carry_features(run: Run, earlier: EarlierRun) -> None:
    """Write the slices of `user_features`, `item_features` and `sequences` that the night needs.

    A kept model needs those of production alone: O(rows) carried over, the events of the users for whom something changed, and
    one shuffle of all by item, as items are counted anew. A warm start needs those of each fit, for whose items each event is
    labelled with its part: O(n log h), as in a full night, with the users' aggregates saved.
    """
    kept = run.training == "keep"
    since = came_since(run, earlier)
    changed = acted(run, since if kept else since | moved(run.config.split, earlier.as_of, run.as_of)).persist()
    events = known_events(run)
    labelled = labelled_events(run, only=changed if kept else None, events=events).where(c.POSITIVE).persist()
    known = labelled if kept else labelled.join(changed, on=c.USER_IDX, how="left_semi")
    try:
        of_user = segments(
            run.tables.read("users"), run.tables.read_or_empty(USER_ATTRIBUTES), run.config.recommend.segment
        )
        for fit in _fits_of_counts(run):
            _write_users(run, earlier, changed, known.where(in_parts(fit)), fit, of_user)
            of_items = _positive(run, events) if kept else labelled.where(in_parts(fit))
            items = of_items.transform(item_features(run.as_of, fit))
            run.counts[f"item_features_{fit}"] = run.tables.replace(ITEM_FEATURES, items, _slice(run, fit))
        for fit in _fits_of_sequences(run):
            _write_sequences(run, earlier, changed, known.where(in_parts(fit)), fit)
        run.counts["users_counted_anew"] = changed.count()
    finally:
        labelled.unpersist()
        changed.unpersist()
    only = f"; no fit but {_PRODUCTION} has a slice" if kept else ""
    run.notes.append(f"users for whom nothing changed since {earlier.as_of} were carried over{only}")


def _write_users(
    run: Run, earlier: EarlierRun, changed: DataFrame, events: DataFrame, fit: Fit, of_user: DataFrame
) -> None:
    kept = carried(run, USER_FEATURES.name, earlier, changed, {c.FIT: fit}).drop(c.SEGMENT)
    anew = events.transform(user_features(run.as_of, fit, of_user))
    users = kept.join(of_user, on=c.USER_IDX, how="left").unionByName(anew)
    run.counts[f"user_features_{fit}"] = run.tables.replace(USER_FEATURES, users, _slice(run, fit))


def _write_sequences(run: Run, earlier: EarlierRun, changed: DataFrame, events: DataFrame, fit: Fit) -> None:
    kept = carried(run, SEQUENCES.name, earlier, changed, {c.FIT: fit})
    anew = events.transform(sequences(run.as_of, fit, run.config.features.sequence_length))
    run.counts[f"sequences_{fit}"] = run.tables.replace(SEQUENCES, kept.unionByName(anew), _slice(run, fit))


def _positive(run: Run, events: DataFrame) -> DataFrame:
    """The positive ones, in dense indices, without their parts of the split."""
    users, items = run.tables.read("users"), run.tables.read("items")
    return events.transform(positive(run.config.interactions)).where(c.POSITIVE).transform(indexed(users, items))


def _fits_of_counts(run: Run) -> tuple[Fit, ...]:
    return (_PRODUCTION,) if run.training == "keep" else tuple(run.config.examples.fits)


def _fits_of_sequences(run: Run) -> tuple[Fit, ...]:
    return (_PRODUCTION,) if run.training == "keep" else tuple(PARTS_OF_FIT)


def _slice(run: Run, fit: Fit) -> SliceKey:
    return {c.AS_OF_DATE: run.as_of, c.FIT: fit}
