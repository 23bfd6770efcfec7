"""Held-out events scored by one model, through what evaluation scores with: histograms of pairs, and targets by segment."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.evaluate.accuracy import histograms
from recsys_spark.evaluate.catalogue import catalogue_of
from recsys_spark.evaluate.stage import eval_users, plan_of, scoring_newer, share_of, tasks_of
from recsys_spark.evaluate.subjects import Loader, Plan, subject_of
from recsys_spark.evaluate.users import spread, with_history
from recsys_spark.explore.entries import Entry
from recsys_spark.explore.groups import kept
from recsys_spark.interactions.index import index_sizes
from recsys_spark.interactions.split import TEST, VALIDATION
from recsys_spark.report.chosen import Chosen
from recsys_spark.report.predictions import predictions
from recsys_spark.report.segments import TARGET_ROWS, segments, target_pass
from recsys_spark.report.space import described_items
from recsys_spark.runs import Run
from recsys_spark.schemas import USER_ATTRIBUTES
from recsys_spark.transform import in_sample


def held_out(run: Run, chosen: Chosen, load: Loader) -> list[Entry]:
    """The figures of an evaluate fit on events that it has not seen. O(users x items), of `evaluate.full_users` users at most;
    to the driver come histograms of fixed size and the groups that are shown.

    Raises:
        UserError: a table or its slice is missing; the message names the job to run.
    """
    parts = _parts(run)
    known_users = run.tables.read_slice("user_features", {c.AS_OF_DATE: run.as_of, c.FIT: chosen.fit})
    with ExitStack() as stack:
        subject = scoring_newer(run, subject_of(run, chosen.row, parts, index_sizes(run.tables)), stack)
        plan = replace(plan_of(run, [subject], catalogue_of(run, known_users), load), ks=[run.config.report.k])
        stack.callback(plan.catalogue.unpersist)
        rows = eval_users(run, plan, parts, known_users).transform(spread(tasks_of(run)))
        users = stack.enter_context(kept(rows))
        counted = {part: both for (_, part), both in histograms(plan, users).items() if both.sum(axis=1).all()}
        found = predictions(counted, run.config.examples.negatives, subject.logits)
        return [*found, *_segments(run, plan, users, known_users, chosen.fit)]


def shown_part(parts: tuple[str, ...]) -> str:
    """The part that segments are taken on: validation, as whoever looks for faults will change the model by them."""
    return VALIDATION if VALIDATION in parts else parts[0]


def _parts(run: Run) -> tuple[str, ...]:
    """The parts that the split holds out."""
    parts = (VALIDATION, TEST)
    there = [run.tables.read("eval_examples", {c.AS_OF_DATE: run.as_of, c.PART: part}) for part in parts]
    held = tuple(part for part, rows in zip(parts, there, strict=True) if not rows.isEmpty())
    return held or (TEST,)


def _segments(run: Run, plan: Plan, users: DataFrame, known_users: DataFrame, fit: str) -> list[Entry]:
    """Of about `evaluate.full_users` users."""
    config, part = run.config, shown_part(plan.subjects[0].parts)
    of_part = users.where(F.col(c.PART) == part)
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    chosen = of_part.where(in_sample(share_of(of_part, config.evaluate.full_users), run.seed, c.USER_IDX))
    with_taken = chosen.transform(with_history(interactions)).transform(spread(tasks_of(run)))
    plan = replace(plan, subjects=[replace(plan.subjects[0], parts=(part,))])
    with kept(with_taken.mapInArrow(target_pass(plan, config.report.k), TARGET_ROWS)) as targets:
        run.counts["held_out_items"] = targets.count()  # computed here: the ways to group read it side by side
        return segments(
            targets,
            _described_users(run, known_users),
            described_items(run, fit),
            config.explore.by,
            config.report.top,
            config.run.driver_bytes,
        )


def _described_users(run: Run, known_users: DataFrame) -> DataFrame:
    taken = known_users.select(c.USER_IDX, c.ITEMS)
    attributes = run.tables.read_or_empty(USER_ATTRIBUTES).select(c.USER_ID, c.GENDER, c.AGE, c.ATTRIBUTES)
    index = run.tables.read("users").select(c.USER_ID, c.USER_IDX)
    return index.join(attributes, on=c.USER_ID, how="left").join(taken, on=c.USER_IDX, how="left")
