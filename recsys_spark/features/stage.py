"""The features stage: events and attributes -> `user_features`, `item_features`, `sequences`, a slice a date and fit."""

from __future__ import annotations

from recsys_spark import columns as c
from recsys_spark.features.counts import item_features, segments, user_features
from recsys_spark.features.sequences import sequences
from recsys_spark.interactions.split import PARTS_OF_FIT, in_parts
from recsys_spark.interactions.stage import labelled_events
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_FEATURES, SEQUENCES, USER_ATTRIBUTES, USER_FEATURES


def run(run: Run) -> None:
    """One pass over the labelled events a fit, each fit seeing only what its cut allows. O(n log h)."""
    config = run.config
    attributes = run.tables.read_or_empty(USER_ATTRIBUTES)
    of_user = segments(run.tables.read("users"), attributes, config.recommend.segment)
    labelled = labelled_events(run).where(c.POSITIVE).persist()
    try:
        for fit in config.examples.fits:
            known, where = labelled.where(in_parts(fit)), {c.AS_OF_DATE: run.as_of, c.FIT: fit}
            for table, transformer in (
                (USER_FEATURES, user_features(run.as_of, fit, of_user)),
                (ITEM_FEATURES, item_features(run.as_of, fit)),
            ):
                run.counts[f"{table.name}_{fit}"] = run.tables.replace(table, known.transform(transformer), where)
        for fit in PARTS_OF_FIT:  # also of fits that are not trained: what each part's users are scored by
            known, where = labelled.where(in_parts(fit)), {c.AS_OF_DATE: run.as_of, c.FIT: fit}
            transformer = sequences(run.as_of, fit, config.features.sequence_length)
            run.counts[f"sequences_{fit}"] = run.tables.replace(SEQUENCES, known.transform(transformer), where)
    finally:
        labelled.unpersist()
