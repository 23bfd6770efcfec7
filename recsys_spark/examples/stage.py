"""The examples stage: `interactions` -> `train_examples`, `sequences` -> `train_sequences`, `events` -> `train_impressions` and
`shown_positions` (a slice a date and fit), and `eval_examples` (a slice a date and part)."""

from __future__ import annotations

from datetime import date
from math import ceil

from pyspark import Broadcast
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.errors import UserError
from recsys_spark.examples import impressions as shown
from recsys_spark.examples.candidates import drawn_candidates, given_candidates
from recsys_spark.examples.negatives import Pool
from recsys_spark.examples.pairs import train_pairs
from recsys_spark.examples.windows import train_windows
from recsys_spark.features.context_sources import of_context
from recsys_spark.interactions.given import given_negatives
from recsys_spark.interactions.pairs import is_target, positives_in
from recsys_spark.interactions.split import PARTS_OF_FIT, TEST, VALIDATION, in_parts, until
from recsys_spark.interactions.stage import labelled_events
from recsys_spark.model_settings import IMPRESSIONS, SEQUENCES
from recsys_spark.retriever import kinds_of
from recsys_spark.runs import Run
from recsys_spark.schemas import EVAL_EXAMPLES, SHOWN_POSITIONS, TRAIN_IMPRESSIONS, TRAIN_SEQUENCES, train_examples
from recsys_spark.settings import Fit
from recsys_spark.tables import SliceKey

_POPULARITY = "popularity"


def run(run: Run) -> None:
    """Draw the negatives of every fit and the candidates of every held-out part. O(positives x draws x K)."""
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    kinds = kinds_of(run.config)
    if run.config.examples.baskets and run.config.split.kind != "time":
        raise UserError(
            f"examples.baskets is set, but split.kind is {run.config.split.kind}, which cuts inside a basket, so that a model "
            "would be measured on items whose basket it reads: set split.kind to time"
        )
    for fit in run.config.examples.fits:
        if kinds - {SEQUENCES, IMPRESSIONS}:
            _write_train_examples(run, interactions, fit)
        if SEQUENCES in kinds_of(run.config, fit):
            _write_train_sequences(run, fit)
    if IMPRESSIONS in kinds:
        _write_train_impressions(run)
    for part in (VALIDATION, TEST):
        _write_eval_examples(run, interactions, part)


def _write_train_examples(run: Run, interactions: DataFrame, fit: Fit) -> None:
    config = run.config.examples
    of_fit = positives_in(*PARTS_OF_FIT[fit])
    times = of_fit if config.positives == "events" else (of_fit > 0).cast("int")
    positives = _sum(interactions, times)
    files = _files(positives, config.rows_per_file, run.config.training.ranks)
    pool = _pool(run, interactions, fit)
    barred = interactions.where(F.col(c.POSITIVES) > 0)
    contexts = _contexts(run, fit)
    conversions = _conversions(run, fit)
    examples = barred.transform(
        train_pairs(config, run.seed, run.as_of, fit, times, pool, files, contexts, conversions)
    )
    where: dict[str, str | int | date] = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
    rows = run.tables.replace(train_examples(config.negatives), examples, where)
    run.counts[f"positives_{fit}"], run.counts[f"train_examples_{fit}"] = positives, rows
    if rows < positives * config.draws:
        left_out = positives - rows // config.draws
        run.notes.append(f"{fit}: {left_out:,} positives of users who took every item have no negatives: left out")


def _write_train_sequences(run: Run, fit: Fit) -> None:
    config = run.config.examples
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
    histories = run.tables.read_slice("sequences", where)
    steps = F.size(F.array_distinct(c.TIMES)) if config.baskets else F.col(c.LENGTH)
    users = histories.where(steps > 1).count()
    if not users:
        what = "two baskets" if config.baskets else "two events"
        raise UserError(f"no user has {what} in the {fit} fit, so there is nothing to learn an order from")
    files = _files(users * config.windows, config.rows_per_file, run.config.training.ranks)
    cut = train_windows(run.as_of, fit, config.window, config.windows, files, _contexts(run, fit), config.baskets)
    windows = histories.transform(cut)
    run.counts[f"train_sequences_{fit}"] = run.tables.replace(TRAIN_SEQUENCES, windows, where)


def _contexts(run: Run, fit: Fit) -> DataFrame | None:
    """The contexts of the events of the fit's parts, where features of the context are declared."""
    if not of_context(run.config.features):
        return None
    return run.tables.read_slice("event_contexts", {c.AS_OF_DATE: run.as_of, c.FIT: fit}).where(in_parts(fit))


def _conversions(run: Run, fit: Fit) -> DataFrame | None:
    """The pairs with an event of `examples.conversion_types` in the fit's parts, where there are such types."""
    types = run.config.examples.conversion_types
    if not types:
        return None
    events = labelled_events(run, {c.EVENT_TYPE: F.col(c.EVENT_TYPE)}).where(in_parts(fit))
    return events.transform(shown.of_types(types)).select(c.USER_IDX, c.ITEM_IDX).distinct()


def _write_train_impressions(run: Run) -> None:
    config, limit = run.config.examples, run.config.run.driver_bytes
    labelled = labelled_events(run, shown.texts(config.position_key))
    everything = labelled.transform(shown.of_types(config.impression_types)).persist()
    try:
        for fit in config.fits:
            impressions = everything.where(in_parts(fit))
            rows, clicks = impressions.count(), _sum(impressions, F.col(c.POSITIVE).cast("int"))
            _require_both(fit, rows, clicks)
            positions = shown.positions_learnt(impressions, config.positions_kept, limit)
            files = _files(rows, config.rows_per_file, run.config.training.ranks)
            examples = impressions.transform(shown.train_impressions(run.as_of, fit, positions, files))
            where: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
            run.tables.replace(TRAIN_IMPRESSIONS, examples, where)
            known = shown.shown_positions(examples, run.as_of, fit, positions, config.propensity_items, limit)
            run.tables.replace(SHOWN_POSITIONS, run.spark.createDataFrame(known, SHOWN_POSITIONS.schema), where)
            run.counts |= {f"impressions_{fit}": rows, f"clicks_{fit}": clicks, f"positions_{fit}": len(positions)}
    finally:
        everything.unpersist()


def _require_both(fit: Fit, impressions: int, clicks: int) -> None:
    if not 0 < clicks < impressions:
        raise UserError(
            f"of {impressions:,} impressions in the {fit} fit {clicks:,} count as clicked, and a model learns from both kinds: "
            "set examples.impression_types to the types of event that are impressions, and interactions.positive_types or "
            "interactions.positive_min_value to what a click is (docs/models.md)"
        )


def _write_eval_examples(run: Run, interactions: DataFrame, part: str) -> None:
    split, taken = run.config.split, interactions.where(F.col(c.POSITIVES) > 0)
    targets = is_target(part, split.repeats)
    if part == TEST and split.kind == "given" and split.negatives_file:
        events = run.tables.read("events").where(until(run.as_of))
        negatives = given_negatives(split, events, run.tables.read("users"), run.tables.read("items"))
        examples = taken.transform(given_candidates(run.as_of, part, targets, negatives))
    else:
        pool = _pool(run, interactions, "production", uniform=True)
        count = run.config.examples.eval_negatives
        examples = taken.transform(drawn_candidates(run.as_of, part, targets, count, run.seed, pool))
    where: dict[str, str | int | date] = {c.AS_OF_DATE: run.as_of, c.PART: part}
    run.counts[f"eval_examples_{part}"] = run.tables.replace(EVAL_EXAMPLES, examples, where)


def _sum(rows: DataFrame, what: Column) -> int:
    total = rows.agg(F.coalesce(F.sum(what), F.lit(0)).alias("total")).head()
    return int(total["total"]) if total else 0


def _files(positives: int, rows_per_file: int, ranks: int) -> int:
    """As many files as the ranks share out evenly, each of about `rows_per_file` rows."""
    return ranks * max(1, ceil(positives / (rows_per_file * ranks)))


def _pool(run: Run, interactions: DataFrame, fit: Fit, uniform: bool = False) -> Broadcast[Pool]:
    """All items, as the model has vectors of all; how popular they are is of the fit's parts alone."""
    config = run.config.examples
    popularity = positives_in(*PARTS_OF_FIT[fit])
    items = (
        interactions.where(F.col(c.POSITIVES) > 0)
        .groupBy(c.ITEM_IDX)
        .agg(F.sum(F.when(popularity > 0, 1).otherwise(0)).alias(_POPULARITY))
    )
    known = collect_columns(
        items, [c.ITEM_IDX, _POPULARITY], "the items to draw negatives from", run.config.run.driver_bytes
    )
    if uniform or config.sampling == "uniform":
        return run.spark.sparkContext.broadcast(Pool.uniform(known[c.ITEM_IDX]))
    return run.spark.sparkContext.broadcast(Pool.weighted(known[c.ITEM_IDX], known[_POPULARITY], config.alpha))
