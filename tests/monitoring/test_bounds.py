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


def alternating(rng: np.random.Generator, n: int, size: float) -> np.ndarray:
    """Noise whose days in a row go against each other, so that nothing hangs together."""
    return np.abs(rng.normal(size, size / 4, n)) * np.where(np.arange(n) % 2, 1.0, -1.0)


def of_statsmodels(formula: str, days: list[date], values: np.ndarray, alpha: float) -> tuple[float, float]:
    """Its prediction interval of the next day."""
    rows = pd.DataFrame(
        {"line": [(day - DAY).days for day in [*days, DAY]], "weekday": [d.weekday() for d in [*days, DAY]]}
    )
    fitted = smf.ols(formula, rows[:-1].assign(y=values)).fit()
    frame = fitted.get_prediction(rows[-1:]).summary_frame(alpha=alpha)
    return frame["obs_ci_lower"].iloc[0], frame["obs_ci_upper"].iloc[0]


def test_without_weekdays_it_is_the_prediction_interval_of_statsmodels():
    values = 50.0 + alternating(np.random.default_rng(1), 16, 20.0)
    found = bounds(PLAIN, days_before(16), list(values), DAY, 9, 0.01, 14)
    low, high = of_statsmodels("y ~ 1", days_before(16), values, 0.01)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.method, found.days) == ("t", 16)
    upper = bounds(Measure(DRIFT, "", "plain", "high"), days_before(16), list(values), DAY, 9, 0.005, 14)
    assert (upper.low, upper.high) == (None, pytest.approx(high))


def test_with_weekdays_it_is_the_prediction_interval_of_statsmodels():
    days = days_before(28)[:3] + days_before(28)[4:]
    weekend = np.array([30.0 * (day.weekday() >= 5) for day in days])
    values = 100.0 + weekend + np.arange(27.0) + alternating(np.random.default_rng(2), 27, 4.0)
    found = bounds(PLAIN, days, list(values), DAY, 9, 0.02, 14)
    low, high = of_statsmodels("y ~ line + C(weekday)", days, values, 0.02)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.method == "weekday t"


def test_values_that_hang_together_tell_less():
    rng = np.random.default_rng(5)
    steps = np.repeat(rng.normal(0.0, 30.0, 4), 7)  # one value a week
    apart = rng.permutation(steps)
    wide, narrow = (bounds(PLAIN, days_before(28), list(values), DAY, 9, 0.02, 14) for values in (steps, apart))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    # 5 days at 1 and 5 at -1 by turns: 19 pairs of days in a row, of which 3 go against each other
    values = np.tile(np.repeat([1.0, -1.0], 5), 2)
    found = (16 - 3) / 20
    together = found + (1 + 3 * found) / 20
    share = (1 - together) / (1 + together)
    reach = stats.t.isf(0.05, max(1.0, 19 * share)) * np.sqrt(20 / 19) * np.sqrt(1 + 1 / 20 / share)
    bounded = bounds(PLAIN, days_before(20), list(values), DAY, 9, 0.1, 14)
    assert (bounded.low, bounded.high) == (pytest.approx(-reach), pytest.approx(reach))


def test_a_few_odd_days_do_not_widen_the_bounds():
    values = 500.0 + np.random.default_rng(3).normal(0.0, 10.0, 20)
    odd = values.copy()
    odd[7] = 1400.0
    with_it, without = (bounds(PLAIN, days_before(20), list(each), DAY, 9, 0.05, 14) for each in (odd, values))
    assert (with_it.method, without.method) == ("robust t", "t")
    assert with_it.high < without.high + 30.0 and with_it.low > without.low - 30.0
    classical = of_statsmodels("y ~ 1", days_before(20), odd, 0.05)
    assert with_it.high - with_it.low < 0.2 * (classical[1] - classical[0])
    # of days that are mostly alike and sometimes not, the median deviation is nought: no bounds are made of that
    rare = np.where(np.arange(28) % 9 == 4, 0.5, 0.0)
    assert bounds(PLAIN, days_before(28), list(rare), DAY, 9, 0.05, 14).method == "weekday t"


def test_bounds_are_left_as_often_as_asked():
    rng, out = np.random.default_rng(4), 0
    for _ in range(2000):
        values = rng.normal(0.0, 100.0, 29)
        found = bounds(PLAIN, days_before(28), list(values[:28]), DAY, 9, 0.05, 14)
        out += not found.holds(values[28])
    low, high = stats.binomtest(out, 2000).proportion_ci(0.999)
    assert low < 0.05 < high


def test_what_never_changed_may_move_by_one_and_by_chance():
    found = bounds(MEASURES["model_age_days"], days_before(28), [7.0] * 28, DAY, 1, 0.001, 14)
    assert (found.low, found.high) == (None, pytest.approx(8.0))
    reach = stats.t.isf(0.0005, 13) * np.sqrt(1 + 1 / 14)  # in standard deviations of the day's own
    counts = bounds(MEASURES["events"], days_before(14), [400.0] * 14, DAY, 400, 0.001, 14)
    assert counts.low == pytest.approx(401 * np.exp(-reach / 20) - 1)
    assert counts.high == pytest.approx(401 * np.exp(reach / 20) - 1)
    silent = bounds(MEASURES["events"], days_before(14), [400.0] * 14, DAY, 0, 0.001, 14)
    assert (silent.low, silent.high) == (pytest.approx(counts.low), pytest.approx(counts.high))
    shares = bounds(MEASURES["coverage"], days_before(14), [0.5] * 14, DAY, 400, 0.001, 14)
    assert shares.low == pytest.approx(np.sin(np.pi / 4 - reach / 40) ** 2)


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
    assert measure.from_scale(measure.to_scale(values[0], n), n) == pytest.approx(values[0], abs=1e-9)


def past(days: str) -> list[Past]:
    """A letter a day: `.` an ordinary value 1, `x` a breach, whose value is 9 and whose bound was 5."""
    found: list[Past] = []
    for number, letter in enumerate(days):
        day = DAY + timedelta(days=number)
        since = None if letter == "." else (found[-1].since if found and found[-1].since else day)
        found.append(Past(day, 1.0) if letter == "." else Past(day, 9.0, since, 5.0))
    return found


@pytest.mark.parametrize(
    ("days", "taught"),
    [
        ("", ""),
        ("....", "...."),
        ("..x.x.", "..b.b."),  # each breach counts as its bound
        ("...xx", "...b"),  # once
        ("...xxx", "xxx"),  # three in a row are the new level, and what was before is gone
        ("...xxx.x.", "xxx.b."),
        ("..xx.xxx.", "xxx."),
    ],
)
def test_breaches_are_kept_out_until_they_last(days, taught):
    assert "".join({1.0: ".", 5.0: "b", 9.0: "x"}[one.value] for one in lessons(past(days), 3)) == taught


def quiet(n: int, level: float = 1000.0) -> list[Past]:
    rng = np.random.default_rng(n)
    return [Past(day, float(rng.normal(level, 10.0)), None) for day in days_before(n)]


def settings_with(*more: str):
    return load_config(settings=list(more)).monitor


def test_a_breach_that_lasts_is_one_alarm_and_does_not_open_the_bounds():
    history = quiet(20)
    first = judge([Figure("events", "", 300.0, 300)], {("events", ""): history}, DAY, settings_with())[0]
    assert first.since == DAY and first.is_new
    assert first.bound == first.bounds.low
    history = [*history, Past(DAY, 300.0, first.since, first.bound)]
    tomorrow = DAY + timedelta(days=1)
    second = judge([Figure("events", "", 310.0, 310)], {("events", ""): history}, tomorrow, settings_with())[0]
    assert second.since == DAY and not second.is_new
    assert second.bounds.days == first.bounds.days + 1 and second.bounds.low > 700.0
    well = judge([Figure("events", "", 985.0, 985)], {("events", ""): history}, tomorrow, settings_with())[0]
    assert well.since is None


def test_alarms_are_shared_and_history_is_cut():
    history = {("events", ""): quiet(20)}
    alone = judge([Figure("events", "", 1000.0, 1000)], history, DAY, settings_with())[0]
    among = judge(
        [Figure("events", "", 1000.0, 1000), *[Figure("users", "", 9.0, 9)] * 9], history, DAY, settings_with()
    )
    assert among[0].bounds.high > alone.bounds.high
    budget = settings_with("monitor.alarms_per_month=5")
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
