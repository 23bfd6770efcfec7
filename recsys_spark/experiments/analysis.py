"""The analyse action: exposures and events -> `experiment_results`, `experiment_verdicts` and the verdict page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.experiment_settings import Experiment
from recsys_spark.experiments import outcomes
from recsys_spark.experiments.findings import UNTESTABLE, Finding, Key, findings
from recsys_spark.experiments.moments import Moments
from recsys_spark.experiments.page import Report, page
from recsys_spark.experiments.register import changes, registered
from recsys_spark.experiments.verdict import Verdict, mismatch, verdict
from recsys_spark.runs import Run
from recsys_spark.schemas import EXPERIMENT_RESULTS, EXPERIMENT_VERDICTS, EXPOSURES, USER_ATTRIBUTES
from recsys_spark.tables import SliceKey


@dataclass(frozen=True)
class Counted:
    """Users by variant as they were first exposed, those of several variants left out, and what else was counted."""

    users: Mapping[str, int]
    whole: int
    waiting: int
    in_several: int
    early_outcomes: int


def analyse(run: Run) -> None:
    """Hold every treatment against the control, as of the date. A slice is an experiment and date; again, it is the same.

    O(exposures + events of the experiment's days), a shuffle of each by user; what comes to the driver is a row of 15 numbers for
    each segment, metric and variant.

    Raises:
        UserError: the experiment was not designed, has no exposures, those of one variant alone, or of unknown ones, or no
            user's outcome days are over.
    """
    experiment = run.config.experiment
    design = registered(run)
    run.notes += changes(experiment, design)
    users = _users(run, experiment, design["starts"]).persist()
    try:
        counted = _counted(run, experiment, users, design["starts"])
        sums = _sums(run, experiment, users)
    finally:
        users.unpersist()
    found = findings(experiment, design[c.USERS], sums)
    verdicts = [
        verdict(experiment, name, found, counted.users, design[c.USERS], counted.whole)
        for name in experiment.treatments
    ]
    _write(run, experiment, found, verdicts, counted)
    _say(run, found, verdicts, counted)
    _show(run, experiment, design, found, verdicts, counted)


def _users(run: Run, experiment: Experiment, starts: date) -> DataFrame:
    """A row a user that was exposed: what the user did."""
    events = run.tables.read("events")
    logged = run.tables.read_or_empty(EXPOSURES).where(F.col(c.EXPERIMENT) == experiment.name)
    exposures = logged.unionByName(events.transform(outcomes.exposures_told(experiment)))
    exposed = exposures.transform(outcomes.first_exposures(starts, run.as_of))
    return exposed.transform(outcomes.measured(events, experiment, starts, run.as_of))


def _counted(run: Run, experiment: Experiment, users: DataFrame, starts: date) -> Counted:
    several = F.col(outcomes.VARIANTS) > 1
    rows = users.groupBy(c.VARIANT, several.alias("several")).agg(
        F.count("*").alias(c.USERS),
        F.sum(F.col(outcomes.IS_WHOLE).cast("int")).alias("whole"),
        F.sum(outcomes.EARLY).alias("early"),
        F.min(c.EXPOSED_AT).alias("first"),
    )
    groups = collect_rows(rows, "variants of exposures", run.config.run.driver_bytes)
    _check_exposures(run, experiment, groups, starts)
    single = [row for row in groups if not row["several"]]
    whole = sum(row["whole"] for row in single)
    return Counted(
        {row[c.VARIANT]: row[c.USERS] for row in single},
        whole,
        sum(row[c.USERS] for row in single) - whole,
        sum(row[c.USERS] for row in groups if row["several"]),
        sum(row["early"] for row in single),
    )


def _check_exposures(run: Run, experiment: Experiment, groups: list[Row], starts: date) -> None:
    """Raise where there is nothing to compare."""
    if not groups:
        raise UserError(
            f"experiment {experiment.name} has no exposures from {starts} to {run.as_of} in table `exposures` under {run.root}: "
            "whoever shows its variants must log who saw which, and when (docs/experiments.md)"
        )
    shown = sorted({row[c.VARIANT] or "null" for row in groups})
    unknown = [name for name in shown if name not in experiment.variants]
    if unknown:
        raise UserError(
            f"table `exposures` has variants that experiment {experiment.name} does not: {', '.join(unknown)}, expected "
            f"{', '.join(experiment.variants)}; mend the log, or experiment.variants"
        )
    if len(shown) == 1:
        raise UserError(
            f"all exposures of experiment {experiment.name} are of one variant, {shown[0]}: there is nothing to hold it against; "
            "check who logs the exposures of the others"
        )
    if not any(row["whole"] and not row["several"] for row in groups):
        first = min(row["first"] for row in groups).date() + timedelta(days=experiment.outcome_days)
        raise UserError(
            f"no user of experiment {experiment.name} has had {experiment.outcome_days} days since the exposure by {run.as_of}: "
            f"analyse from {first} on, or lower experiment.outcome_days"
        )


def _sums(run: Run, experiment: Experiment, users: DataFrame) -> dict[Key, Moments]:
    counting = users.where((F.col(outcomes.VARIANTS) == 1) & F.col(outcomes.IS_WHOLE))
    segments = outcomes.with_segments(run.tables.read_or_empty(USER_ATTRIBUTES), experiment.segments)
    rows = counting.transform(segments).transform(outcomes.sufficient(experiment.metrics)).persist()
    try:
        sums = collect_rows(rows, "sums by segment, metric and variant", run.config.run.driver_bytes)
    finally:
        rows.unpersist()
    return {Key(row[c.SEGMENT], row[c.METRIC], row[c.VARIANT]): Moments.of_row(row) for row in sums}


def _write(run: Run, experiment: Experiment, found: list[Finding], verdicts: list[Verdict], counted: Counted) -> None:
    where: SliceKey = {c.EXPERIMENT: experiment.name, c.AS_OF_DATE: run.as_of}
    rows = [(*where.values(), *_row(one), run.run_id) for one in found]
    run.tables.replace(EXPERIMENT_RESULTS, run.spark.createDataFrame(rows, EXPERIMENT_RESULTS.schema), where)
    p = mismatch(experiment.variants, counted.users)
    told = (counted.whole, counted.waiting, p, counted.in_several, counted.early_outcomes, run.run_id)
    judged = [(*where.values(), one.variant, one.verdict, one.reason, *told) for one in verdicts]
    run.tables.replace(EXPERIMENT_VERDICTS, run.spark.createDataFrame(judged, EXPERIMENT_VERDICTS.schema), where)


def _row(one: Finding) -> tuple[object, ...]:
    """The columns of `experiment_results` from `segment` to `reason`."""
    of = (one.segment, one.segment != outcomes.ALL, one.metric, one.settings.role, one.variant)
    tested = (_number(one.p_value), _number(one.p_adjusted))
    effect = one.effect
    if effect is None:
        return (*of, *[None] * 10, *tested, None, one.status, one.reason)
    values = (effect.control, effect.treated, effect.difference, *one.interval, effect.lift, *one.lift_interval)
    counted = (effect.users_control, effect.users)
    return (*of, *counted, *map(_number, values), *tested, effect.variance_cut, one.status, one.reason)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _say(run: Run, found: list[Finding], verdicts: list[Verdict], counted: Counted) -> None:
    run.counts |= {
        "users": counted.whole,
        "waiting_users": counted.waiting,
        "users_in_several_variants": counted.in_several,
        "outcomes_before_exposure": counted.early_outcomes,
    }
    if counted.in_several:
        run.notes.append(f"{counted.in_several:,} users were shown more than one variant, and are left out")
    if counted.early_outcomes:
        run.notes.append(
            f"{counted.early_outcomes:,} outcomes came since the start but before the user's exposure, and do not count"
        )
    known = {one.segment.partition("=")[0] for one in found}
    absent = [name for name in run.config.experiment.segments if name not in known]
    run.notes += [f"no user that counts has the attribute {name} of experiment.segments" for name in absent]
    untestable = [one for one in found if one.status == UNTESTABLE and one.segment == outcomes.ALL]
    run.notes += [f"metric {one.metric} of {one.variant} cannot be tested: {one.reason}" for one in untestable]
    run.notes += [f"verdict on {one.variant}: {one.verdict}: {one.reason}" for one in verdicts]


def _show(
    run: Run, experiment: Experiment, design: Row, found: list[Finding], verdicts: list[Verdict], counted: Counted
) -> None:
    """Write the page, with the primary metric as it was at each look so far."""
    looks = run.tables.read(EXPERIMENT_RESULTS.name, {c.EXPERIMENT: experiment.name}).where(
        (F.col(c.SEGMENT) == outcomes.ALL)
        & (F.col(c.METRIC) == experiment.primary)
        & (F.col(c.AS_OF_DATE) <= run.as_of)
    )
    rows = collect_rows(looks.orderBy(c.AS_OF_DATE), "looks at an experiment", run.config.run.driver_bytes)
    report = Report(
        experiment,
        run.as_of,
        design.asDict(),
        found,
        verdicts,
        {
            "users whose outcomes are whole": counted.whole,
            "users whose days are not over": counted.waiting,
            "users in several variants, left out": counted.in_several,
            "outcomes before the exposure, not counted": counted.early_outcomes,
        },
        counted.users,
        [row.asDict() for row in rows],
    )
    place = storage.join(run.reports, "verdicts", f"{experiment.name}-{run.as_of}.html")
    storage.save_file(place, page(report).html().encode())
    run.notes.append(f"the page: {place}")
