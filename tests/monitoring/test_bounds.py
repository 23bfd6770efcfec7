"""Bounds from history: against scipy, statsmodels and numpy, and how a breach is kept out of them."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recsys_spark.config import load_config
from recsys_spark.monitoring.bounds import bounds
from recsys_spark.monitoring.judging import Past, judge, lessons
from recsys_spark.monitoring.measures import DRIFT, MEASURES, Figure, Measure

DAY = date(2024, 3, 4)  # a Monday
PLAIN = Measure(DRIFT, "", "plain", "both")


def days_before(n: int) -> list[date]:
    return [DAY - timedelta(days=back) for back in range(n, 0, -1)]


def test_without_weekdays_it_is_the_prediction_interval_of_scipy():
    values = np.random.default_rng(1).normal(50.0, 20.0, 16)
    found = bounds(PLAIN, days_before(16), list(values), DAY, 9, 0.01, 14)
    low, high = stats.t.interval(0.99, 15, values.mean(), values.std(ddof=1) * np.sqrt(1 + 1 / 16))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.method, found.days) == ("t", 16)
    upper = bounds(Measure(DRIFT, "", "plain", "high"), days_before(16), list(values), DAY, 9, 0.01, 14)
    assert upper.low is None
    assert upper.high == pytest.approx(values.mean() + stats.t.isf(0.01, 15) * values.std(ddof=1) * np.sqrt(1 + 1 / 16))


def test_with_weekdays_it_is_the_prediction_interval_of_statsmodels():
    rng = np.random.default_rng(2)
    days = days_before(28)[:3] + days_before(28)[4:]
    values = np.array([100.0 + 30.0 * (day.weekday() >= 5) for day in days]) + rng.normal(0, 4.0, 27)
    found = bounds(PLAIN, days, list(values), DAY, 9, 0.02, 14)
    known = pd.DataFrame({"y": values, "weekday": [day.weekday() for day in days]})
    fitted = smf.ols("y ~ C(weekday)", known).fit()
    frame = fitted.get_prediction(pd.DataFrame({"weekday": [DAY.weekday()]})).summary_frame(alpha=0.02)
    assert (found.low, found.high) == (pytest.approx(frame["obs_ci_lower"][0]), pytest.approx(frame["obs_ci_upper"][0]))
    assert found.method == "weekday t"


def test_a_few_odd_days_do_not_widen_the_bounds():
    values = np.random.default_rng(3).normal(0.0, 10.0, 20)
    values[7] = 900.0
    found = bounds(PLAIN, days_before(20), list(values), DAY, 9, 0.05, 14)
    assert found.method == "robust t"
    spread = np.median(np.abs(values - np.median(values))) / stats.t.isf(0.25, 4) * np.sqrt(20 / 19)
    reach = stats.t.isf(0.025, 4) * spread * np.sqrt(1 + 1 / 20)
    assert (found.low, found.high) == (
        pytest.approx(np.median(values) - reach),
        pytest.approx(np.median(values) + reach),
    )
    assert found.high < values.mean() + stats.t.isf(0.025, 19) * values.std(ddof=1)


def test_bounds_are_left_as_often_as_asked():
    rng, out = np.random.default_rng(4), 0
    for _ in range(2000):
        values = rng.normal(0.0, 100.0, 29)
        found = bounds(PLAIN, days_before(28), list(values[:28]), DAY, 9, 0.05, 14)
        out += not found.holds(values[28])
    low, high = stats.binomtest(out, 2000).proportion_ci(0.999)
    assert low < 0.05 < high


@pytest.mark.parametrize(
    ("metric", "low", "high"), [("events", 6.0, 8.0), ("hit_rate", 0.25, None), ("model_age_days", None, 8.0)]
)
def test_what_never_changed_may_move_by_one(metric, low, high):
    still = 0.5 if metric == "hit_rate" else 7.0
    found = bounds(MEASURES[metric], days_before(28), [still] * 28, DAY, 4, 0.001, 14)
    assert (found.low, found.high) == (low and pytest.approx(low), high and pytest.approx(high))


@given(
    st.sampled_from(sorted(MEASURES)),
    st.lists(st.floats(0.0, 1.0), min_size=14, max_size=28),
    st.floats(1e-6, 0.4),
    st.integers(1, 10_000),
)
@settings(max_examples=150, deadline=None)
def test_fewer_alarms_ask_for_wider_bounds(metric, values, alpha, n):
    measure = MEASURES[metric]
    wide, narrow = (bounds(measure, days_before(len(values)), values, DAY, n, tail, 14) for tail in (alpha / 2, alpha))
    assert wide.low is None or wide.low <= narrow.low + 1e-12
    assert wide.high is None or wide.high >= narrow.high - 1e-12
    assert measure.from_scale(measure.to_scale(values[0])) == pytest.approx(values[0], abs=1e-9)


def past(days: str) -> list[Past]:
    """A letter a day: `.` an ordinary value 1, `x` a breach, whose value is 9."""
    found: list[Past] = []
    for number, letter in enumerate(days):
        day = DAY + timedelta(days=number)
        since = None if letter == "." else (found[-1].since if found and found[-1].since else day)
        found.append(Past(day, 1.0 if letter == "." else 9.0, since))
    return found


@pytest.mark.parametrize(
    ("days", "taught"),
    [
        ("", ""),
        ("....", "...."),
        ("..x.x.", "...."),  # breaches teach nothing
        ("...xx", "..."),
        ("...xxx", "xxx"),  # three in a row are the new level, and what was before is gone
        ("...xxx.x.", "xxx.."),
        ("..xx.xxx.", "xxx."),
    ],
)
def test_breaches_are_kept_out_until_they_last(days, taught):
    assert "".join("." if one.value == 1.0 else "x" for one in lessons(past(days), 3)) == taught


def quiet(n: int, level: float = 1000.0) -> list[Past]:
    rng = np.random.default_rng(n)
    return [Past(day, float(rng.normal(level, 10.0)), None) for day in days_before(n)]


def settings_with(*more: str):
    return load_config(settings=list(more)).monitor


def test_a_breach_that_lasts_is_one_alarm_with_the_same_bounds():
    history = quiet(20)
    first = judge([Figure("events", "", 300.0, 300)], {("events", ""): history}, DAY, settings_with())[0]
    assert first.since == DAY and first.is_new
    history = [*history, Past(DAY, 300.0, first.since)]
    tomorrow = DAY + timedelta(days=1)
    second = judge([Figure("events", "", 310.0, 310)], {("events", ""): history}, tomorrow, settings_with())[0]
    assert second.since == DAY and not second.is_new
    assert (second.bounds.low, second.bounds.days) == (first.bounds.low, first.bounds.days)
    well = judge([Figure("events", "", 1001.0, 1001)], {("events", ""): history}, tomorrow, settings_with())[0]
    assert well.since is None


def test_alarms_are_shared_and_history_is_cut():
    history = {("events", ""): quiet(20)}
    alone = judge([Figure("events", "", 1000.0, 1000)], history, DAY, settings_with())[0]
    among = judge(
        [Figure("events", "", 1000.0, 1000), *[Figure("users", "", 9.0, 9)] * 9], history, DAY, settings_with()
    )
    assert among[0].bounds.high > alone.bounds.high
    budget = settings_with("monitor.alarms_per_month=10")
    assert judge([*[Figure("events", "", 1000.0, 1000)] * 10], history, DAY, budget)[0].bounds == alone.bounds
    assert among[1].bounds.method == "none" and among[1].since is None
    for short in ("monitor.since=2024-02-25", "monitor.history_days=14"):
        settings = settings_with(short)
        days = judge([Figure("events", "", 1.0, 1)], history, DAY, settings)[0].bounds.days
        assert days == (8 if "since" in short else 14)
    later = [*history["events", ""], Past(DAY, 5e6, None), Past(DAY + timedelta(days=1), 5e6, None)]
    assert judge([Figure("events", "", 1000.0, 1000)], {("events", ""): later}, DAY, settings_with())[0] == alone


def test_least_days_are_within_the_history():
    from recsys_spark.errors import UserError

    with pytest.raises(UserError, match="least_days is 30"):
        settings_with("monitor.least_days=30")
