"""How many users an experiment takes, and how many days, for an effect worth finding to be found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import norm
from statsmodels.stats.power import normal_sample_size_one_tail

from recsys_spark.errors import UserError
from recsys_spark.experiment_settings import Experiment
from recsys_spark.experiments.effects import ROUNDING
from recsys_spark.experiments.inference import test_of


@dataclass(frozen=True)
class Baseline:
    """The primary metric as it is: its value, its standard deviation between users, what CUPED will take out of the variance,
    and how many new users come on each day from the first; further days are like the mean of the last seven."""

    value: float
    deviation: float
    variance_cut: float
    arrivals: Sequence[float]


@dataclass(frozen=True)
class Plan:
    """`users` of all variants together, over `days` in all."""

    users: int
    days: int


def plan(experiment: Experiment, baseline: Baseline, share: float) -> Plan:
    """What the experiment takes.

    Each treatment is held against the control at alpha over the number of tests (as Holm's first step), two-sided; the one that
    takes most decides. With variances s_c^2 and s_t^2, q the size of the treatment as a multiple of the control's,

        n_control = (z_{alpha/2} + z_power)^2 (s_c^2 + s_t^2 / q) / effect^2,

    where s_t^2 is what the effect leads to: of a share of users p (1 - p) at the new p, else that of amounts which all change by
    one factor. A sequential test is given the size at which a single look with its own interval has the power: it will mostly
    end sooner.

    Args:
        share: of the arriving users, those that take part.

    Raises:
        UserError: the metric does not vary, is 0, or would leave the range of a share; or nobody comes.
    """
    settings = experiment.design
    if baseline.deviation <= ROUNDING * abs(baseline.value):
        raise UserError(
            f"metric {experiment.primary} has zero variance: every user has the same value, {baseline.value:g}, so no number "
            "of users shows a change. Choose another primary metric, or check its event types"
        )
    if baseline.value == 0.0:
        raise UserError(
            f"metric {experiment.primary} is 0 today: a relative change of it means nothing; check its event types"
        )
    effect = abs(baseline.value) * settings.minimum_effect
    cut = 1.0 - baseline.variance_cut
    users = max(
        normal_sample_size_one_tail(effect, settings.power, _tail(experiment), math.sqrt(variance * cut)) / control
        for control, variance in _comparisons(experiment, baseline)
    )
    return Plan(math.ceil(users), _days(math.ceil(users), baseline.arrivals, share) + experiment.outcome_days)


def _comparisons(experiment: Experiment, baseline: Baseline) -> list[tuple[float, float]]:
    """Of each treatment beside the control: the control's share, and s_c^2 + s_t^2 / q."""
    control = experiment.variants[experiment.control]
    before, after = baseline.deviation**2, _variance_after(experiment, baseline)
    return [(control, before + after * control / experiment.variants[name]) for name in experiment.treatments]


def _variance_after(experiment: Experiment, baseline: Baseline) -> float:
    metric = experiment.metrics[experiment.primary]
    sign = 1.0 if metric.goal == "increase" else -1.0
    factor = 1.0 + sign * experiment.design.minimum_effect
    if metric.of != "users":
        return (baseline.deviation * factor) ** 2
    share = baseline.value * factor
    if not 0.0 < share < 1.0:
        raise UserError(
            f"metric {experiment.primary} is {baseline.value:g} of the users: a change by {experiment.design.minimum_effect:g} "
            f"would make it {share:g}, expected between 0 and 1; lower experiment.design.minimum_effect"
        )
    return share * (1.0 - share)


def _tail(experiment: Experiment) -> float:
    """The chance of error on one side, of one test of all."""
    tests = 1 if experiment.correction == "none" else experiment.comparisons
    # where a sequential test is tuned to n users, its reach there is the same for every n
    return float(norm.sf(test_of(experiment.test, experiment.alpha, planned=1).reach(1, tests)))


def _days(users: int, arrivals: Sequence[float], share: float) -> int:
    """The day on which so many have come."""
    come = 0.0
    for day, more in enumerate(arrivals, start=1):
        come += more * share
        if come >= users:
            return day
    latest = arrivals[-7:]
    rate = share * sum(latest) / len(latest) if latest else 0.0
    if rate <= 0.0:
        raise UserError(
            "no new users come that could take part: check the as-of date, experiment.slots and experiment.holdout, or set "
            "experiment.design.users_a_day"
        )
    return len(arrivals) + math.ceil((users - come) / rate)
