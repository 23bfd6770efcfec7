"""The tests themselves: against scipy's integral of the mixture, and under peeking."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from recsys_spark.experiments.inference import Fixed, Sequential


@pytest.mark.parametrize(("z", "n"), [(0.0, 100), (1.5, 400), (3.0, 1000), (-4.0, 5000)])
def test_the_sequential_p_value_is_the_inverse_of_the_mixture_likelihood_ratio(z, n):
    test = Sequential(0.05, planned=1000)
    tau = math.sqrt(test.rho_squared)  # of the effect in standard deviations of one observation

    def likelihood_ratio(theta: float) -> float:
        return math.exp(z * math.sqrt(n) * theta - n * theta**2 / 2) * norm.pdf(theta, scale=tau)

    mixed, _ = quad(likelihood_ratio, -10 * tau, 10 * tau, points=[z / math.sqrt(n)], limit=200)
    assert test.p_value(z, n) == pytest.approx(min(1.0, 1 / mixed), rel=1e-6)


@given(st.floats(-8, 8), st.integers(2, 10**7), st.floats(0.001, 0.2), st.integers(100, 10**6))
def test_the_interval_leaves_out_zero_where_p_is_below_alpha(z, n, alpha, planned):
    for test in (Fixed(alpha), Sequential(alpha, planned)):
        if abs(abs(z) - test.reach(n)) > 1e-9:
            assert (abs(z) > test.reach(n)) == (test.p_value(z, n) < alpha)


def test_the_sequential_interval_is_narrowest_where_it_is_planned():
    test = Sequential(0.05, planned=10_000)
    widths = {n: test.reach(n) / math.sqrt(n) for n in (10_000, 9_000, 11_000)}
    others = {n: Sequential(0.05, planned=n).reach(10_000) / 100 for n in (3_000, 30_000)}
    assert widths[10_000] < min(others.values())
    assert Fixed(0.05).reach(10_000) == pytest.approx(1.959964)
    assert test.reach(10_000) == pytest.approx(3.04, abs=0.01)  # what peeking costs


def test_peeking_deceives_the_fixed_test_and_not_the_sequential():
    walks = np.random.default_rng(0).normal(size=(1000, 2000)).cumsum(axis=1)
    looks = np.arange(100, 2001, 100)
    z = walks[:, looks - 1] / np.sqrt(looks)
    found = {
        test: np.mean([any(test.p_value(value, n) < 0.05 for value, n in zip(row, looks, strict=True)) for row in z])
        for test in (Fixed(0.05), Sequential(0.05, planned=1000))
    }
    fixed, sequential = found.values()
    assert fixed > 0.15
    assert sequential < 0.05
