"""The features stage: events and attributes -> what is known at a cut, a slice a date and fit.

It writes `user_features`, `item_features` and `sequences`, and for declared features `user_encoded`, `item_encoded`,
`event_contexts` and `feature_specs`.
"""

from __future__ import annotations

from pyspark.sql import DataFrame

from recsys_spark import columns as c
from recsys_spark.events.source_columns import hold
from recsys_spark.feature_settings import Of
from recsys_spark.features.carry import carry_features, earlier_features
from recsys_spark.features.context_sources import carried
from recsys_spark.features.contexts import learnt_contexts, write_contexts
from recsys_spark.features.counts import item_features, segments, user_features
from recsys_spark.features.declared import learnt_features, write_encoded
from recsys_spark.features.sequences import sequences
from recsys_spark.features.sources import shapes_of_vectors
from recsys_spark.interactions.split import PARTS_OF_FIT, in_parts
from recsys_spark.interactions.stage import labelled_events
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_FEATURES, SEQUENCES, USER_ATTRIBUTES, USER_FEATURES
from recsys_spark.settings import Fit


def run(run: Run) -> None:
    """One pass over the labelled events a fit, each fit seeing only what its cut allows. O(n log h).

    A night between full trainings counts only users for whom something changed, see `carry.carry_features`.
    """
    earlier = earlier_features(run)
    if earlier is not None:
        carry_features(run, earlier)
        return
    config = run.config
    seen = hold(run, shapes_of_vectors(config.features.declared, run.spark))
    attributes = run.tables.read_or_empty(USER_ATTRIBUTES)
    of_user = segments(run.tables.read("users"), attributes, config.recommend.segment)
    labelled = labelled_events(run, carried(config.features)).where(c.POSITIVE).persist()
    try:
        known = {fit: labelled.where(in_parts(fit)) for fit in config.examples.fits}
        counted = {fit: _counted(run, events, fit, of_user) for fit, events in known.items()}
        contexts = learnt_contexts(run, labelled, known)
        with learnt_features(run, counted) as learnt:  # before any table is replaced: a declaration may be wrong
            for fit in known:
                where = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
                for table, frame in ((USER_FEATURES, counted[fit]["user"]), (ITEM_FEATURES, counted[fit]["item"])):
                    run.counts[f"{table.name}_{fit}"] = run.tables.replace(table, frame, where)
            write_encoded(run, learnt, contexts)
            write_contexts(run, labelled, contexts)
        for fit in PARTS_OF_FIT:  # also of fits that are not trained: what each part's users are scored by
            in_order = labelled.where(in_parts(fit)).transform(
                sequences(run.as_of, fit, config.features.sequence_length)
            )
            where = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
            run.counts[f"sequences_{fit}"] = run.tables.replace(SEQUENCES, in_order, where)
        seen.remember(run)
    finally:
        labelled.unpersist()


def _counted(run: Run, events: DataFrame, fit: Fit, of_user: DataFrame) -> dict[Of, DataFrame]:
    return {
        "user": events.transform(user_features(run.as_of, fit, of_user)),
        "item": events.transform(item_features(run.as_of, fit)),
    }
