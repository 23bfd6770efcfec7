"""From exposures and events to a row a user and metric: what the user did after the first exposure, and before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.experiment_settings import Experiment, Metric
from recsys_spark.experiments.moments import PARTS, aggregates
from recsys_spark.interactions.split import end_of
from recsys_spark.transform import Transformer, user_attribute

ALL: Final = "all"
EARLY, IS_WHOLE, VARIANTS = "early_outcomes", "is_whole", "variants"

_MEASURES, _SEGMENTS = "measures", "segments"
_ACCURACY: Final = 10_000  # of approximate quantiles: ranks are off by at most a 10,000th of the users
_MOST_VALUES: Final = 20  # of a segment: further ones are shown together
_REST: Final = "(others)"


def exposures_told(experiment: Experiment) -> Transformer:
    """Events -> rows of `exposures`: those of `exposure_types` whose context names the experiment and a variant."""
    name, variant = F.col(c.CONTEXT)[c.EXPERIMENT], F.col(c.CONTEXT)[c.VARIANT]
    shown = F.col(c.EVENT_TYPE).isin(experiment.exposure_types) & (name == experiment.name) & variant.isNotNull()
    return lambda events: events.where(shown).select(
        name.alias(c.EXPERIMENT), c.USER_ID, variant.alias(c.VARIANT), F.col(c.EVENT_TIME).alias(c.EXPOSED_AT)
    )


def first_exposures(since: date, until: date) -> Transformer:
    """Exposures of one experiment -> `(user_id, variant, exposed_at, variants)`, a row a user, by the first from `since` on.

    `variants` is the number of different ones that the user was shown. One shuffle by user, reduced before it.
    """

    def first(exposures: DataFrame) -> DataFrame:
        counted = exposures.where(
            (F.col(c.EXPOSED_AT) >= end_of(since - timedelta(days=1))) & (F.col(c.EXPOSED_AT) < end_of(until))
        )
        return counted.groupBy(c.USER_ID).agg(
            F.min_by(c.VARIANT, F.struct(c.EXPOSED_AT, c.VARIANT)).alias(c.VARIANT),
            F.min(c.EXPOSED_AT).alias(c.EXPOSED_AT),
            F.count_distinct(c.VARIANT).alias(VARIANTS),
        )

    return first


def measured(events: DataFrame, experiment: Experiment, since: date, until: date) -> Transformer:
    """First exposures -> the same with what each user did, whether the outcome days are over, and early outcomes.

    An outcome is an event from the exposure on, within `outcome_days`; history is what came in the `history_days` before it;
    an early outcome one between `since` and the exposure, which does not count. O(events of the experiment's types and
    days), one shuffle of them by user.
    """
    after = F.col(c.EXPOSED_AT) + F.expr(f"INTERVAL {experiment.outcome_days} DAYS")
    before = F.col(c.EXPOSED_AT) - F.expr(f"INTERVAL {experiment.history_days} DAYS")
    is_after = (F.col(c.EVENT_TIME) >= F.col(c.EXPOSED_AT)) & (F.col(c.EVENT_TIME) < after)
    is_before = (F.col(c.EVENT_TIME) < F.col(c.EXPOSED_AT)) & (F.col(c.EVENT_TIME) >= before)
    is_early = (F.col(c.EVENT_TIME) < F.col(c.EXPOSED_AT)) & (F.col(c.EVENT_TIME) >= end_of(since - timedelta(days=1)))
    from_here = end_of(since - timedelta(days=experiment.history_days + 1))
    wanted = (F.col(c.EVENT_TIME) >= from_here) & (F.col(c.EVENT_TIME) < end_of(until)) & _of_any(experiment.metrics)
    measures = F.array(
        *[
            F.struct(
                F.lit(name).alias(c.METRIC),
                _amount(metric, is_after).alias("y"),
                _per(metric, is_after).alias("d"),
                _amount(metric, is_before).alias("x"),
                _per(metric, is_before).alias("w"),
            )
            for name, metric in experiment.metrics.items()
        ]
    )

    def measure(exposed: DataFrame) -> DataFrame:
        did = events.where(wanted).select(c.USER_ID, c.EVENT_TIME, c.EVENT_TYPE, c.EVENT_VALUE)
        by_user = exposed.join(did, on=c.USER_ID, how="left").groupBy(*exposed.columns)
        of_user = by_user.agg(measures.alias(_MEASURES), F.count(F.when(is_early, 1)).alias(EARLY))
        return of_user.withColumn(IS_WHOLE, after <= end_of(until))

    return measure


def with_segments(attributes: DataFrame, names: Sequence[str]) -> Transformer:
    """Measured users -> the same with `segments`: `all`, and `name=value` of each attribute that is known.

    Of an attribute the most frequent values are told apart. One join by user where there are any.
    """

    def join(users: DataFrame) -> DataFrame:
        if not names:
            return users.withColumn(_SEGMENTS, F.array(F.lit(ALL)))
        values = {name: user_attribute(name).alias(name) for name in names}
        known = users.join(attributes.select(c.USER_ID, *values.values()), on=c.USER_ID, how="left")
        parts = [F.lit(ALL)]
        for name in names:
            often = known.where(F.col(name).isNotNull()).groupBy(name).count()
            most = [row[0] for row in often.orderBy(F.desc("count"), name).limit(_MOST_VALUES).collect()]
            told = F.when(F.col(name).isin(most), F.col(name)).otherwise(_REST)
            parts.append(F.when(F.col(name).isNotNull(), F.concat(F.lit(f"{name}="), told)))
        return known.withColumn(_SEGMENTS, F.array_compact(F.array(*parts))).drop(*names)

    return join


def sufficient(metrics: Mapping[str, Metric]) -> Transformer:
    """Measured users with segments -> `(segment, metric, variant)` and what `Moments.of_row` reads of each.

    Amounts of winsorised metrics are cut at their quantile over all users, approximate to a 10,000th of the ranks, outcomes and
    history each at its own. One pass for the quantiles, where there are any, and one for the sums, reduced before the shuffle.
    """

    def aggregate(users: DataFrame) -> DataFrame:
        rows = users.select(c.VARIANT, _SEGMENTS, F.inline(_MEASURES))
        capped = rows.withColumns(_capped(rows, metrics))
        return (
            capped.withColumn(c.SEGMENT, F.explode(_SEGMENTS))
            .groupBy(c.SEGMENT, c.METRIC, c.VARIANT)
            .agg(*aggregates())
        )

    return aggregate


def _capped(rows: DataFrame, metrics: Mapping[str, Metric]) -> dict[str, Column]:
    """Columns `PARTS`, those of amounts with what is over the cap cut off."""
    whole = {part: F.col(part).cast("double") for part in PARTS}
    quantiles = {name: metric.winsorise for name, metric in metrics.items() if metric.winsorise is not None}
    if not quantiles:
        return whole
    caps = rows.agg(
        *[
            F.percentile_approx(F.when(F.col(c.METRIC) == name, F.col(part)), quantile, _ACCURACY).alias(
                f"{name}.{part}"
            )
            for name, quantile in quantiles.items()
            for part in ("y", "x")
        ]
    ).head()
    assert caps is not None
    for name in quantiles:
        for part in ("y", "x"):
            cut = F.least(F.col(part), F.lit(caps[f"{name}.{part}"]))
            whole[part] = F.when(F.col(c.METRIC) == name, cut).otherwise(whole[part])
    return whole


def _amount(metric: Metric, when: Column) -> Column:
    """What a user's events of the metric's types come to, within a span of time."""
    counts = when & _of_types(metric.types)
    if metric.of == "value":
        return F.coalesce(F.sum(F.when(counts, F.col(c.EVENT_VALUE))), F.lit(0.0))
    number = F.count(F.when(counts, 1)).cast("double")
    return F.least(number, F.lit(1.0)) if metric.of == "users" else number


def _per(metric: Metric, when: Column) -> Column:
    """What a user's amount is divided by: events of some types, or the user."""
    return F.count(F.when(when & _of_types(metric.per), 1)).cast("double") if metric.per else F.lit(1.0)


def _of_types(types: Sequence[str]) -> Column:
    return F.col(c.EVENT_TYPE).isin(list(types)) if types else F.col(c.EVENT_TIME).isNotNull()


def _of_any(metrics: Mapping[str, Metric]) -> Column:
    """Whether an event is of a type that some metric asks for."""
    if not all(metric.types for metric in metrics.values()):
        return F.lit(True)
    return F.col(c.EVENT_TYPE).isin(sorted({kind for metric in metrics.values() for kind in metric.types + metric.per}))
