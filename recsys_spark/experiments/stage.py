"""The experiment job: design, assign, analyse, and for made events simulate; each action reads tables and writes its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.experiment_settings import Experiment
from recsys_spark.experiments.analysis import analyse
from recsys_spark.experiments.assignment import share, variant_of
from recsys_spark.experiments.baseline import baseline
from recsys_spark.experiments.design import plan
from recsys_spark.experiments.register import hold_apart, registered, settings_of
from recsys_spark.experiments.simulation import simulate
from recsys_spark.runs import Run
from recsys_spark.schemas import ASSIGNMENTS, EXPERIMENTS, RECOMMENDATIONS_CURRENT
from recsys_spark.suppression import TOMBSTONE

LISTS: Final = "lists"  # the layer whose variants are those of the published lists


def run(run: Run) -> None:
    """Do what the job's first argument says.

    Raises:
        UserError: the configuration names no experiment or no metrics.
    """
    experiment = run.config.experiment
    if not experiment.name or not experiment.metrics:
        raise UserError(
            "no experiment is configured: experiment.name and experiment.metrics are needed, as in "
            "conf/experiments/checkout.yaml; give such a file with --config"
        )
    actions: Mapping[str, Callable[[Run], None]] = {
        "design": _design,
        "assign": _assign,
        "analyse": analyse,
        "simulate": simulate,
    }
    actions[run.options["action"]](run)


def _design(run: Run) -> None:
    """Say how many users and days it takes, and enter it in `experiments`; designed again, it takes the old row's place.

    O(events of the last days that are measured); nothing where `experiment.design` gives the figures.

    Raises:
        UserError: its part of the layer is taken, or the figures allow no design.
    """
    experiment = run.config.experiment
    hold_apart(run)
    starts = experiment.starts or run.as_of + timedelta(days=1)
    figures = baseline(run)
    needed = plan(experiment, figures, share(experiment))
    row = (
        experiment.name,
        experiment.layer,
        *experiment.slots,
        starts,
        needed.days,
        needed.users,
        experiment.primary,
        figures.value,
        figures.deviation,
        figures.variance_cut,
        experiment.design.minimum_effect,
        settings_of(experiment),
        run.requested_as_of,
        run.run_id,
    )
    run.tables.replace(
        EXPERIMENTS, run.spark.createDataFrame([row], EXPERIMENTS.schema), {c.EXPERIMENT: experiment.name}
    )
    run.counts |= {"users": needed.users, "days": needed.days}
    run.notes += [
        f"{experiment.primary} is {figures.value:.4g} today, its standard deviation between users {figures.deviation:.4g}; "
        f"CUPED takes {figures.variance_cut:.1%} of the variance",
        f"a change by {experiment.design.minimum_effect:.1%} is found with probability {experiment.design.power:.0%} among "
        f"{needed.users:,} users, from {starts} through {starts + timedelta(days=needed.days - 1)}",
        "next: jobs/experiment.py assign",
    ]


def _assign(run: Run) -> None:
    """Let in the users whose turn it is, and record their variant; who was let in before stays. O(users), no shuffle but by user.

    With `experiment.ramp: 0` the experiment ends: its rows are removed, so that no list hangs on it any more.

    Raises:
        UserError: the settings would move people, its part of the layer is taken, or a variant has no lists.
    """
    experiment = run.config.experiment
    registered(run)
    hold_apart(run)
    where = {c.EXPERIMENT: experiment.name}
    there = run.tables.read_or_empty(ASSIGNMENTS).where(F.col(c.EXPERIMENT) == experiment.name)
    if experiment.ramp == 0.0:
        run.tables.replace(ASSIGNMENTS, run.spark.createDataFrame([], ASSIGNMENTS.schema), where)
        run.notes.append(f"{experiment.name} has ended: nobody is in it any more")
        return
    _check_nobody_moves(experiment, there)
    _check_lists(run, experiment)
    users = run.tables.read("users").where(~F.col(c.USER_ID).startswith(TOMBSTONE))
    entered = users.select(c.USER_ID, variant_of(experiment).alias(c.VARIANT)).where(F.col(c.VARIANT).isNotNull())
    fresh = entered.join(there, on=c.USER_ID, how="left_anti").select(
        F.lit(experiment.name).alias(c.EXPERIMENT),
        F.lit(experiment.layer).alias(c.LAYER),
        c.USER_ID,
        c.VARIANT,
        F.lit(run.as_of).alias("assigned_on"),
        F.lit(run.run_id).alias(c.RUN_ID),
    )
    run.counts["let_in"] = run.tables.append(ASSIGNMENTS, fresh)
    now = run.tables.read(ASSIGNMENTS.name, where).groupBy(c.VARIANT).count()
    counted = {row[0]: row[1] for row in now.collect()}  # a row a variant
    run.counts |= {f"users_of_{name}": counted.get(name, 0) for name in experiment.variants}


def _check_nobody_moves(experiment: Experiment, there: DataFrame) -> None:
    moved = there.where(~F.col(c.VARIANT).eqNullSafe(variant_of(experiment))).count()
    if moved:
        raise UserError(
            f"{moved:,} users who are in experiment {experiment.name} would leave it or change their variant: its ramp was "
            "lowered, or its layer, slots, holdout or variants have changed. Put them back, or give the changed one another name"
        )


def _check_lists(run: Run, experiment: Experiment) -> None:
    if experiment.layer != LISTS:
        return
    live = run.tables.read_or_empty(RECOMMENDATIONS_CURRENT).select(c.VARIANT).distinct()
    without = sorted(set(experiment.variants) - {row[0] for row in live.collect()})  # a row a variant
    if without:
        raise UserError(
            f"no lists of {', '.join(without)} are live in `recommendations_current` under {run.root}: their users would get "
            "none. Run jobs/recommend.py and jobs/publish.py with recommend.variant set to each first, or choose a layer other "
            f"than `{LISTS}`"
        )
