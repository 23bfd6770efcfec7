"""Effects and their errors, beside statsmodels, numpy and what theory says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.api import OLS, add_constant
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from recsys_spark.experiments.effects import deviation, effect, ratio
from recsys_spark.experiments.inference import Fixed
from recsys_spark.experiments.moments import Moments, aggregates


def users(n: int, seed: int, shift: float = 0.0, correlation: float = 0.0) -> np.ndarray:
    """Rows (y, d, x, w) of a mean metric whose history correlates with it so."""
    rng = np.random.default_rng(seed)
    x = rng.normal(5.0, 2.0, n)
    y = 10.0 + shift + 3.0 * (correlation * (x - 5.0) / 2.0 + math.sqrt(1 - correlation**2) * rng.normal(size=n))
    return np.column_stack([y, np.ones(n), x, np.ones(n)])


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 1000))
def test_sums_of_two_groups_are_those_of_both(n, m, seed):
    rows = np.random.default_rng(seed).normal(1e6, 1.0, (n + m, 4))  # far from 0: plain sums of squares would cancel
    both, whole = Moments.of(rows[:n]) + Moments.of(rows[n:]), Moments.of(rows)
    assert both.n == whole.n
    np.testing.assert_allclose(both.mean, whole.mean)
    np.testing.assert_allclose(both.covariance, whole.covariance, atol=1e-6)


def test_spark_sums_as_numpy_does(spark):
    rows = users(50, 1, correlation=0.5)
    frame = spark.createDataFrame(
        [("a", *map(float, row)) for row in rows] + [("b", 1.0, 1.0, 1.0, 1.0)],
        "v string, y double, d double, x double, w double",
    )
    summed = {row["v"]: Moments.of_row(row) for row in frame.groupBy("v").agg(*aggregates()).collect()}
    expected = Moments.of(rows)
    assert (summed["a"].n, summed["b"].n) == (50, 1)
    np.testing.assert_allclose(summed["a"].mean, expected.mean)
    np.testing.assert_allclose(summed["a"].covariance, expected.covariance, atol=1e-12)
    assert not summed["b"].covariance.any()


def test_a_difference_of_means_is_statsmodels():
    control, treated = users(400, 1), users(300, 2, shift=0.5)
    found = effect(Moments.of(control), Moments.of(treated), cuped=False)
    reference = CompareMeans(DescrStatsW(treated[:, 0]), DescrStatsW(control[:, 0]))
    z, p = reference.ztest_ind(usevar="unequal")
    low, high = reference.zconfint_diff(usevar="unequal")
    assert found.difference / found.error == pytest.approx(z)
    assert Fixed(0.05).p_value(found.difference / found.error, 700) == pytest.approx(p)
    half = Fixed(0.05).reach(700) * found.error
    assert (found.difference - half, found.difference + half) == (pytest.approx(low), pytest.approx(high))
    assert found.variance_cut == 0.0


def test_a_difference_of_shares_is_statsmodels_but_for_n_and_n_minus_1():
    control = np.column_stack([np.repeat([1.0, 0.0], [120, 880]), *np.ones((3, 1000))])
    treated = np.column_stack([np.repeat([1.0, 0.0], [150, 850]), *np.ones((3, 1000))])
    found = effect(Moments.of(control), Moments.of(treated), cuped=True)
    low, high = confint_proportions_2indep(150, 1000, 120, 1000, method="wald", compare="diff")
    half = Fixed(0.05).reach(2000) * found.error
    assert (found.difference - half, found.difference + half) == (
        pytest.approx(low, abs=2e-5),
        pytest.approx(high, abs=2e-5),
    )
    assert (found.control, found.treated, found.lift) == (0.12, 0.15, pytest.approx(0.25))


def test_cuped_is_the_regression_on_history():
    control, treated = users(500, 3, correlation=0.8), users(400, 4, shift=0.2, correlation=0.8)
    found = effect(Moments.of(control), Moments.of(treated), cuped=True)
    rows = np.vstack([control, treated])
    is_treated = np.repeat([0.0, 1.0], [500, 400])
    fitted = OLS(rows[:, 0], add_constant(np.column_stack([is_treated, rows[:, 2]]))).fit(cov_type="HC1")
    assert found.difference == pytest.approx(fitted.params[1])
    assert found.error == pytest.approx(fitted.bse[1], rel=0.02)
    assert (500 * found.control + 400 * found.treated) / 900 == pytest.approx(rows[:, 0].mean())


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_cuped_cuts_the_variance_by_the_squared_correlation(correlation):
    control, treated = (Moments.of(users(20_000, seed, correlation=correlation)) for seed in (5, 6))
    assert effect(control, treated, cuped=True).variance_cut == pytest.approx(correlation**2, abs=0.02)


def test_a_ratio_has_the_error_of_the_jackknife():
    rng = np.random.default_rng(7)
    views = rng.poisson(8, 2000) + 1.0
    rates = rng.beta(2, 8, 2000)  # users differ, so that their views are no draws apart
    clicks = rng.binomial(views.astype(int), rates).astype(float)
    moments = Moments.of(np.column_stack([clicks, views, np.zeros(2000), np.ones(2000)]))
    value, variance = ratio(moments)
    without = (clicks.sum() - clicks) / (views.sum() - views)
    jackknife = 1999 / 2000 * ((without - without.mean()) ** 2).sum()
    assert value == pytest.approx(clicks.sum() / views.sum())
    assert variance == pytest.approx(jackknife, rel=0.01)
    assert deviation(moments) == pytest.approx(math.sqrt(variance * 2000))
    naive = value * (1 - value) / views.sum()
    assert variance > 1.5 * naive


def test_the_lift_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(8), 0
    for _ in range(400):
        control, treated = (rng.exponential(scale, (800, 1)) for scale in (1.0, 1.1))
        rows = [np.hstack([y, np.ones((800, 3))]) for y in (control, treated)]
        found = effect(*map(Moments.of, rows), cuped=False)
        covered += abs(found.lift - 0.1) < 1.96 * found.lift_error
    assert 0.92 < covered / 400 < 0.975  # 4 standard deviations about 0.95 or so


def test_equal_values_do_not_vary_whatever_rounding_leaves_of_them():
    tenths = np.column_stack([np.full(1000, 0.1), *np.ones((3, 1000))])
    noisy = Moments(1000, np.array([0.1, 1.0, 1.0, 1.0]), np.diag([1e-33, 0.0, 0.0, 0.0]))
    assert not effect(Moments.of(tenths), noisy, cuped=True).varies
    assert effect(Moments.of(users(10, 1)), Moments.of(users(10, 2)), cuped=True).varies


def test_what_cannot_be_divided_has_no_effect_and_no_history_no_cuped():
    rows = users(10, 1)
    nothing = np.column_stack([rows[:, 0], np.zeros(10), rows[:, 2:]])
    assert effect(Moments.of(rows), Moments.of(nothing), cuped=True) is None
    newcomers = np.column_stack([rows[:, :2], np.zeros((10, 2))])
    assert effect(Moments.of(newcomers), Moments.of(newcomers), cuped=True).variance_cut == 0.0
    zero = np.column_stack([np.zeros(10), np.ones((10, 3))])
    found = effect(Moments.of(zero), Moments.of(rows), cuped=False)
    assert math.isnan(found.lift) and found.difference == pytest.approx(rows[:, 0].mean())
