"""The evaluate stage: models and baselines on the held-out parts of the run's date -> `metrics`.

Running it again replaces the rows of the models, protocols and splits that it measures, in one commit; rows
of other models and other dates stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import reduce

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.evaluate.accuracy import accuracy_rows
from recsys_spark.evaluate.baselines import fitted_baselines
from recsys_spark.evaluate.biases import item_biases, train_values, with_user_bias
from recsys_spark.evaluate.catalogue import Catalogue, catalogue_of
from recsys_spark.evaluate.full import full_pass
from recsys_spark.evaluate.measures import FULL, RATINGS, SAMPLED, MetricRow, measures, user_rows
from recsys_spark.evaluate.ratings import ERRORS, rating_baselines, ratings_pass, root_of_squares
from recsys_spark.evaluate.report import report
from recsys_spark.evaluate.sampled import TRAIN_LOSS, sampled_pass, train_loss_pass
from recsys_spark.evaluate.subjects import Loader, Plan, Subject, load_model, subjects_of
from recsys_spark.evaluate.summary import covered, summarised
from recsys_spark.evaluate.users import (
    USER_SEGMENT,
    spread,
    with_context,
    with_history,
    with_latest_items,
    with_segment,
)
from recsys_spark.features.context_sources import of_context
from recsys_spark.interactions.split import TEST, TRAIN, VALIDATION
from recsys_spark.model_settings import PAIRS
from recsys_spark.recommend.newer import with_newer
from recsys_spark.runs import Run
from recsys_spark.schemas import METRICS, train_examples
from recsys_spark.tables import SliceKey
from recsys_spark.transform import conform, in_sample


def run(run: Run) -> None:
    """Measure the date's newest evaluate fit (and its refit), popularity and random."""
    evaluate(run, load_model)


def evaluate(run: Run, load: Loader) -> None:
    """The stage with the models' scorers opened by `load`, which travels to the workers.

    O(users x candidates) pairs scored a model for the sampled protocol, O(users x items) for the full one,
    O(targets) for the ratings.
    Only item-sized arrays and finished metrics come to the driver.

    Raises:
        UserError: a table, its slice for the date or a model is missing; the message names the job to run.
    """
    held_out = _held_out(run)
    parts = tuple(part for part in run.config.evaluate.splits if part in held_out)
    known_users = run.tables.read_slice("user_features", {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate"})
    with ExitStack() as copies:
        subjects = [scoring_newer(run, subject, copies) for subject in subjects_of(run, parts)]
        catalogue = catalogue_of(run, known_users)
        fitted = fitted_baselines(run, catalogue.users_of_item)
        plan = replace(plan_of(run, subjects, catalogue, load), fitted=fitted)
        users = eval_users(run, plan, held_out, known_users).transform(spread(tasks_of(run))).persist()
        _measure(run, plan, users, parts)


def scoring_newer(run: Run, subject: Subject, copies: ExitStack) -> Subject:
    """The same subject, scoring also whom it can of those that came after it."""
    if subject.path is None:
        return subject
    return replace(subject, path=copies.enter_context(with_newer(run, subject.path)))


def _measure(run: Run, plan: Plan, users: DataFrame, parts: tuple[str, ...]) -> None:
    """Measure every subject of the plan on the persisted users, write the rows and tell of them."""
    rows: list[MetricRow] = []
    subjects = list(plan.subjects)
    try:
        if SAMPLED in run.config.evaluate.protocols:
            rows += [*_sampled(plan, users, parts), *_train_loss(run, plan)]
        if FULL in run.config.evaluate.protocols:
            rows += _full(run, plan, users.where(F.col(c.PART).isin(*parts)))
        if RATINGS in run.config.evaluate.protocols:
            baselines = rating_baselines(parts)
            rows += _ratings(run, plan, baselines, users.where(F.col(c.PART).isin(*parts)))
            subjects += baselines
    finally:
        users.unpersist()
        plan.catalogue.unpersist()
        for baseline in plan.fitted.values():
            baseline.unpersist()
    _write(run, rows, {subject.version: subject.name for subject in subjects})
    table = f"{run.root}.metrics" if run.tables.in_catalog else f"delta.`{run.tables.path(METRICS.name)}`"
    run.notes += report(rows, subjects, plan.ks, table, with_cold=run.config.split.has_cold)


def plan_of(run: Run, subjects: Sequence[Subject], catalogue: Catalogue, load: Loader) -> Plan:
    """How subjects are measured, by the configuration; the catalogue is broadcast."""
    return Plan(
        subjects=subjects,
        catalogue=run.spark.sparkContext.broadcast(catalogue),
        load=load,
        ks=sorted(set(run.config.evaluate.ks)),
        negatives=run.config.examples.negatives,
        seed=run.seed,
        exclude_seen=run.config.recommend.exclude_seen,
        block_users=run.config.recommend.block_users,
        block_bytes=run.config.evaluate.block_bytes,
    )


def _held_out(run: Run) -> tuple[str, ...]:
    """The parts to read: those asked for, and validation, which thresholds are chosen on, where there is one."""
    asked_for = run.config.evaluate.splits
    validation = run.tables.read("eval_examples", {c.AS_OF_DATE: run.as_of, c.PART: VALIDATION})
    if not validation.isEmpty() or TEST not in asked_for:
        return tuple(dict.fromkeys((VALIDATION, *asked_for)))
    run.notes.append("the split holds out no validation part: no threshold to be chosen, so no accuracy")
    return (TEST,)


def eval_users(run: Run, plan: Plan, parts: tuple[str, ...], known_users: DataFrame) -> DataFrame:
    """Held-out users of some parts with all that the plan's subjects read of them; `known_users` as for `catalogue_of`."""
    slices = [run.tables.read_slice("eval_examples", {c.AS_OF_DATE: run.as_of, c.PART: part}) for part in parts]
    users = reduce(DataFrame.unionByName, slices)
    segmented = users.transform(with_segment(known_users, run.config.evaluate.light_user_events))
    if of_context(run.config.features) and "context" in run.config.model.chosen.sides:
        contexts = run.tables.read("event_contexts", {c.AS_OF_DATE: run.as_of})
        segmented = segmented.transform(with_context(contexts))
    if not any(subject.reads_history for subject in plan.subjects):
        return segmented
    return segmented.transform(with_latest_items(run.tables.read("sequences", {c.AS_OF_DATE: run.as_of})))


def _sampled(plan: Plan, users: DataFrame, parts: tuple[str, ...]) -> list[MetricRow]:
    of = measures(SAMPLED, plan.ks)
    of_parts = users.where(F.col(c.PART).isin(*parts))
    measured = of_parts.mapInArrow(sampled_pass(plan), user_rows(of)).transform(summarised(of))
    return [*_collected(SAMPLED, measured), *accuracy_rows(plan, users)]


def _train_loss(run: Run, plan: Plan) -> list[MetricRow]:
    """The loss over about `evaluate.loss_rows` positives of the first draw, each with its negatives; pairs alone have one."""
    if run.config.model.chosen.examples != PAIRS:
        return []
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate", c.DRAW: 0}
    table = train_examples(plan.negatives)
    examples = run.tables.read_slice(table.name, where).transform(conform(table.schema, table.name))
    share = share_of(examples, run.config.evaluate.loss_rows)
    rows = examples.where(in_sample(share, run.seed, c.USER_IDX, c.ITEM_IDX)).withColumns(
        {c.PART: F.lit(TRAIN), USER_SEGMENT: F.lit(None).cast("string"), c.ITEMS: F.lit(None).cast("array<int>")}
    )
    fitted = [replace(s, parts=(TRAIN,)) for s in plan.subjects if s.path is not None and s.fit == "evaluate"]
    losses = rows.mapInArrow(train_loss_pass(replace(plan, subjects=fitted)), user_rows(TRAIN_LOSS))
    return _collected(SAMPLED, losses.transform(summarised(TRAIN_LOSS)))


def _full(run: Run, plan: Plan, users: DataFrame) -> list[MetricRow]:
    of = measures(FULL, plan.ks)
    share = share_of(users.select(c.USER_IDX).distinct(), run.config.evaluate.full_users)
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    chosen = users.where(in_sample(share, run.seed, c.USER_IDX)).transform(with_history(interactions))
    measured = chosen.transform(spread(tasks_of(run))).mapInArrow(full_pass(plan), user_rows(of)).persist()
    try:
        summary = measured.transform(summarised(of)).unionByName(measured.transform(covered(plan.ks)))
        return _collected(FULL, summary)
    finally:
        measured.unpersist()


def _ratings(run: Run, plan: Plan, baselines: Sequence[Subject], users: DataFrame) -> list[MetricRow]:
    values = train_values(run)
    of_items = item_biases(values, plan.catalogue.value.n_items, run.config.run.driver_bytes)
    shared = run.spark.sparkContext.broadcast(of_items)
    try:
        of_users = users.transform(with_user_bias(values)).transform(spread(tasks_of(run)))
        measured = of_users.mapInArrow(ratings_pass(plan, baselines, shared), user_rows(ERRORS))
        return [root_of_squares(row) for row in _collected(RATINGS, measured.transform(summarised(ERRORS)))]
    finally:
        shared.unpersist()


def tasks_of(run: Run) -> int:
    """As many tasks as shuffles have, or two a core: scoring is long work over few rows."""
    return run.config.run.shuffle_partitions or 2 * run.spark.sparkContext.defaultParallelism


def share_of(rows: DataFrame, wanted: int) -> float:
    """The share of the rows that is about as many as wanted; 0 wants all."""
    return min(1.0, wanted / max(1, rows.count())) if wanted else 1.0


def _collected(protocol: str, summary: DataFrame) -> list[MetricRow]:
    """Finished metrics: a few hundred rows a model, however many users there are."""

    def row(of: Row) -> MetricRow:
        return MetricRow(
            of[c.MODEL_VERSION], protocol, of[c.PART], of[c.SEGMENT], of[c.METRIC],
            of[c.K], of[c.VALUE], of[c.LOW], of[c.HIGH], of[c.N],
        )  # fmt: skip

    return [row(of) for of in summary.collect()]


def _write(run: Run, rows: list[MetricRow], names: dict[str, str]) -> None:
    stamped = [
        (run.run_id, run.as_of, row.model_version, names[row.model_version], run.config.dataset, *row[1:])
        for row in rows
    ]
    fresh = run.spark.createDataFrame(stamped, METRICS.schema)
    measured = [c.MODEL_VERSION, c.PROTOCOL, c.SPLIT]
    redone = F.broadcast(fresh.select(*measured).distinct())
    of_date = run.tables.read_or_empty(METRICS).where(F.col(c.AS_OF_DATE) == F.lit(run.as_of))
    kept = of_date.join(redone, on=measured, how="left_anti")
    run.counts["metrics"] = len(rows)
    run.tables.replace(METRICS, kept.unionByName(fresh), {c.AS_OF_DATE: run.as_of})
