"""Exposures and outcomes in the place of a shop's, with a planted effect: on made events alone."""

from __future__ import annotations

from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.events.generate import SOURCE
from recsys_spark.experiments.outcomes import first_exposures
from recsys_spark.experiments.register import registered
from recsys_spark.runs import Run
from recsys_spark.schemas import ASSIGNMENTS, EVENTS, EXPOSURES
from recsys_spark.transform import in_sample

_VIEW, _PURCHASE = "view", "purchase"
_OF_SIMULATION: Final = "simulated "  # then the experiment's name: the source of events that it adds


def simulate(run: Run) -> None:
    """Expose everyone who was assigned at the first event since the start, and let treated views lead to further purchases.

    Of the views of treated users from the exposure on, the share `--effect` brings one more purchase, of the mean value of a
    purchase. Run again, it replaces what it made. O(events of the experiment's days), one shuffle of them by user.

    Raises:
        UserError: the events under the root are not made ones, or `--effect` is no share.
    """
    experiment, effect = run.config.experiment, run.options["effect"]
    if not 0.0 <= effect <= 1.0:
        raise UserError(f"--effect is {effect:g}, expected a share of 0 to 1")
    starts = registered(run)["starts"]
    real = run.tables.read("events").where((F.col(c.SOURCE) != SOURCE) & ~F.col(c.SOURCE).startswith(_OF_SIMULATION))
    if not real.isEmpty():
        raise UserError(
            f"table `events` under {run.root} holds events that were not made by jobs/generate.py: simulated outcomes among them "
            "would be taken for true ones; choose a root of made events"
        )
    events = run.tables.read("events").where(F.col(c.SOURCE) == SOURCE)
    assigned = run.tables.read(ASSIGNMENTS.name, {c.EXPERIMENT: experiment.name}).select(c.USER_ID, c.VARIANT)
    visits = events.join(assigned, on=c.USER_ID, how="inner").withColumn(c.EXPOSED_AT, F.col(c.EVENT_TIME))
    shown = visits.transform(first_exposures(starts, run.as_of)).select(
        F.lit(experiment.name).alias(c.EXPERIMENT), c.USER_ID, c.VARIANT, c.EXPOSED_AT
    )
    where = {c.EXPERIMENT: experiment.name}
    run.counts["exposures"] = run.tables.replace(EXPOSURES, shown, where)
    treated = run.tables.read(EXPOSURES.name, where).where(F.col(c.VARIANT) != experiment.control)
    source = f"{_OF_SIMULATION}{experiment.name}"
    added = _purchases(run, events, treated, effect, source)
    run.counts["added_purchases"] = run.tables.replace(EVENTS, added, {c.SOURCE: source})


def _purchases(run: Run, events: DataFrame, treated: DataFrame, effect: float, source: str) -> DataFrame:
    value = events.where(F.col(c.EVENT_TYPE) == _PURCHASE).agg(F.avg(c.EVENT_VALUE)).head()
    assert value is not None
    views = events.where(F.col(c.EVENT_TYPE) == _VIEW).join(
        treated.select(c.USER_ID, c.EXPOSED_AT), on=c.USER_ID, how="inner"
    )
    chosen = (F.col(c.EVENT_TIME) >= F.col(c.EXPOSED_AT)) & in_sample(effect, run.seed, c.EVENT_ID)
    return views.where(chosen).withColumns(
        {
            c.EVENT_ID: F.concat(F.lit(f"{source} "), c.EVENT_ID),
            c.EVENT_TYPE: F.lit(_PURCHASE),
            c.EVENT_VALUE: F.lit(value[0]).cast("double"),
            c.SOURCE: F.lit(source),
            c.RUN_ID: F.lit(run.run_id),
        }
    )
