"""The primary metric today, as given or as measured: the last days of events, as if everyone had been exposed in them."""

from __future__ import annotations

import math
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.experiment_settings import Experiment
from recsys_spark.experiments.design import Baseline
from recsys_spark.experiments.effects import deviation, effect, ratio
from recsys_spark.experiments.moments import Moments
from recsys_spark.experiments.outcomes import first_exposures, measured, sufficient, with_segments
from recsys_spark.runs import Run

_EVERYONE = "everyone"


def baseline(run: Run) -> Baseline:
    """What `experiment.design` gives; for what it does not give, `events`.

    Each user of `history_days` days that end `outcome_days` before the date is taken as exposed at the first event of those
    days, which is how users come to an experiment. O(events of those days and the history before).

    Raises:
        UserError: a baseline that needs a deviation has none, or there is nothing to measure.
    """
    experiment = run.config.experiment
    given = experiment.design
    arrivals = [given.users_a_day] if given.users_a_day is not None else None
    if given.baseline is not None and arrivals is not None:
        return Baseline(given.baseline, _given_deviation(experiment, given.baseline), 0.0, arrivals)
    exposed = _exposed(run, experiment).persist()
    try:
        arrivals = arrivals or _arrivals(run, experiment, exposed)
        if given.baseline is not None:
            return Baseline(given.baseline, _given_deviation(experiment, given.baseline), 0.0, arrivals)
        return _measured(run, experiment, exposed, arrivals)
    finally:
        exposed.unpersist()


def _given_deviation(experiment: Experiment, value: float) -> float:
    if experiment.metrics[experiment.primary].of == "users":
        if not 0.0 < value < 1.0:
            raise UserError(f"experiment.design.baseline is {value:g}, expected a share of users between 0 and 1")
        return math.sqrt(value * (1.0 - value))
    if experiment.design.deviation is None:
        raise UserError(
            f"metric {experiment.primary} is no share of users: set experiment.design.deviation beside the baseline, or neither, "
            "and both are measured"
        )
    return experiment.design.deviation


def _days(run: Run, experiment: Experiment) -> tuple[date, date]:
    """The first and last of the days whose users are taken as exposed."""
    last = run.as_of - timedelta(days=experiment.outcome_days)
    return last - timedelta(days=experiment.history_days - 1), last


def _exposed(run: Run, experiment: Experiment) -> DataFrame:
    visits = run.tables.read("events").select(
        c.USER_ID, F.col(c.EVENT_TIME).alias(c.EXPOSED_AT), F.lit(_EVERYONE).alias(c.VARIANT)
    )
    return visits.transform(first_exposures(*_days(run, experiment)))


def _arrivals(run: Run, experiment: Experiment, exposed: DataFrame) -> list[float]:
    first, last = _days(run, experiment)
    by_day = exposed.groupBy(F.to_date(c.EXPOSED_AT).alias("day")).count().collect()  # a row a day
    counted = {row["day"]: float(row["count"]) for row in by_day}
    return [counted.get(first + timedelta(days=day), 0.0) for day in range((last - first).days + 1)]


def _measured(run: Run, experiment: Experiment, exposed: DataFrame, arrivals: list[float]) -> Baseline:
    first, last = _days(run, experiment)
    metric = experiment.metrics[experiment.primary]
    users = exposed.transform(measured(run.tables.read("events"), experiment, first, run.as_of))
    whole = users.transform(with_segments(users, ())).transform(sufficient({experiment.primary: metric}))
    row = whole.where(F.col(c.METRIC) == experiment.primary).head()
    if row is None or row[c.N] < 2:
        raise UserError(
            f"fewer than two users have an event from {first} to {last}, so that {experiment.primary} cannot be measured: check "
            "the as-of date, or set experiment.design.baseline, deviation and users_a_day"
        )
    moments = Moments.of_row(row)
    value, _ = ratio(moments)
    if math.isnan(value):
        raise UserError(f"metric {experiment.primary} has nothing to divide by: no event of {', '.join(metric.per)}")
    both = effect(moments, moments, metric.cuped)
    assert both is not None
    return Baseline(value, deviation(moments), both.variance_cut, arrivals)
