"""Sizes, beside statsmodels' own solvers; days, by hand."""

from __future__ import annotations

import math

import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import power_proportions_2indep

from recsys_spark.errors import UserError
from recsys_spark.experiments.design import Baseline, Plan, plan
from tests.experiments.settings import CONVERSION, experiment

SPEND = {"spend": {"of": "value", "role": "primary"}}
PLENTY = [1e9]


def fixed(**settings):
    return experiment(test="fixed", **settings)


def share(value: float, arrivals=PLENTY) -> Baseline:
    return Baseline(value, math.sqrt(value * (1 - value)), 0.0, arrivals)


def test_of_means_it_is_statsmodels():
    needed = plan(fixed(metrics=SPEND), Baseline(20.0, 40.0, 0.0, PLENTY), 1.0)
    of_both = math.sqrt((40.0**2 + 42.0**2) / 2)  # the treatment's deviation grows by the 5% that its mean does
    a_variant = NormalIndPower().solve_power(effect_size=1.0 / of_both, alpha=0.05, power=0.8)
    assert needed == Plan(math.ceil(2 * a_variant), 8)  # a day of arrivals and seven of outcomes


def test_unequal_shares():
    needed = plan(fixed(metrics=SPEND, variants={"a": 0.8, "b": 0.2}), Baseline(20.0, 40.0, 0.0, PLENTY), 1.0)
    of_both = math.sqrt((40.0**2 + 42.0**2 / 0.25) / (1 + 1 / 0.25))  # statsmodels weighs by 1 and 1 / ratio
    control = NormalIndPower().solve_power(effect_size=1.0 / of_both, alpha=0.05, power=0.8, ratio=0.25)
    assert needed.users == math.ceil(control / 0.8)


def test_what_is_to_fall_falls_by_less_than_it_would_rise():
    lower = {"spend": {"of": "value", "role": "primary", "goal": "decrease"}}
    rise, fall = (plan(fixed(metrics=one), Baseline(20.0, 40.0, 0.0, PLENTY), 1.0).users for one in (SPEND, lower))
    assert fall / rise == pytest.approx((1 + 0.95**2) / (1 + 1.05**2), rel=1e-3)


def test_of_shares_of_users_the_power_is_what_was_asked_for():
    needed = plan(fixed(design__minimum_effect=0.1, design__power=0.9), share(0.1), 1.0)
    reached = power_proportions_2indep(0.01, 0.1, needed.users / 2, alpha=0.05).power
    assert reached == pytest.approx(0.9, abs=0.005)


def test_several_variants_and_metrics_share_alpha():
    thirds = dict.fromkeys("abc", 1 / 3)
    two_metrics = CONVERSION | {"spend": {"of": "value"}, "views": {"of": "events", "role": "guardrail", "margin": 0.1}}
    needed = plan(fixed(variants=thirds, metrics=two_metrics), share(0.2), 1.0)
    alone = plan(fixed(variants=thirds, metrics=two_metrics, correction="none"), share(0.2), 1.0)
    quarter = plan(fixed(variants=thirds, metrics=CONVERSION, correction="none", alpha=0.05 / 4), share(0.2), 1.0)
    assert needed.users == quarter.users > alone.users


def test_history_saves_users_and_looking_costs_them():
    plain, cut = (plan(fixed(metrics=SPEND), Baseline(20.0, 40.0, known, PLENTY), 1.0) for known in (0.0, 0.5))
    assert cut.users == pytest.approx(plain.users / 2, abs=1)
    looking = plan(experiment(metrics=SPEND), Baseline(20.0, 40.0, 0.0, PLENTY), 1.0)
    assert looking.users / plain.users == pytest.approx(1.92, abs=0.01)


@pytest.mark.parametrize(
    ("arrivals", "part", "days"),
    [
        ([1e9], 1.0, 1),
        ([500.0], 1.0, 4),
        ([1000.0, 500.0, 100.0], 1.0, 3),
        ([500.0], 0.1, 32),
        ([1500.0, 0.0, 50.0], 1.0, 4),
    ],
)
def test_days_are_those_until_enough_have_come(arrivals, part, days):
    baseline = Baseline(1.0, 1.0, 0.0, arrivals)
    chosen = fixed(metrics=SPEND, design__minimum_effect=0.152, outcome_days=3)
    needed = plan(chosen, baseline, part)
    assert 1560 < needed.users < 1600
    assert needed.days == days + 3


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        (Baseline(20.0, 0.0, 0.0, PLENTY), r"zero variance: every user has the same value, 20"),
        (Baseline(0.0, 1.0, 0.0, PLENTY), "is 0 today"),
        (share(0.97), r"would make it 1\.0185, expected between 0 and 1"),
        (share(0.2, [0.0]), "no new users come"),
    ],
)
def test_what_allows_no_design_is_said(baseline, message):
    with pytest.raises(UserError, match=message):
        plan(experiment(), baseline, 1.0)
