"""The search for a learning rate: its arithmetic by hand, and on the checkerboard."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from recsys_spark.errors import UserError
from recsys_spark.training import finder
from recsys_spark.training.distributed import OneRank
from recsys_spark.training.finder import RangeTest, plot, range_test, rising_rates, running_means, suggested_rate


def test_of(losses: list[float]) -> RangeTest:
    rates = tuple(rising_rates(max(2, len(losses)))[: len(losses)])
    return RangeTest(rates, tuple(losses), tuple(running_means(losses)))


test_of.__test__ = False  # type: ignore[attr-defined]


def test_rates_rise_by_the_same_factor():
    np.testing.assert_allclose(rising_rates(7), [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0], rtol=1e-12)


def test_a_running_mean_weighs_the_latest_most():
    assert running_means([1.0, 2.0, 4.0]) == pytest.approx([1.0, 2.9 / 1.9, (0.81 + 1.8 + 4.0) / 2.71])


def test_the_suggested_rate_is_where_the_loss_falls_steepest():
    steps = np.arange(100)
    falls_about_60 = 1.0 / (1.0 + np.exp((steps - 60) / 5.0)) + np.where(steps > 80, (steps - 80) / 4.0, 0.0)
    assert suggested_rate(test_of(falls_about_60.tolist())) == rising_rates(100)[60]


def test_the_slope_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    losses = (np.linspace(2.0, 1.0, 100) + rng.normal(0.0, 0.05, 100)).tolist()
    test = test_of(losses)
    last = int(np.argmin(test.smoothed))
    slopes = {
        middle: np.polyfit(np.log(test.rates[middle - 5 : middle + 6]), losses[middle - 5 : middle + 6], 1)[0]
        for middle in range(5, last - 4)
    }
    assert suggested_rate(test) == test.rates[min(slopes, key=lambda middle: slopes[middle])]


def test_a_fall_after_the_best_loss_is_not_taken():
    falls, lost, back = np.linspace(1.0, 0.5, 50), np.linspace(0.5, 9.0, 20), np.linspace(9.0, 1.0, 10)
    rate = suggested_rate(test_of([*falls, *lost, *back]))
    assert rate is not None and rate < rising_rates(80)[50]


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 2.0], list(np.linspace(1.0, 2.0, 50)), [1.0] * 50])
def test_where_the_loss_falls_nowhere_nothing_is_suggested(losses):
    assert suggested_rate(test_of(losses)) is None


def test_it_goes_over_the_epochs_end_with_rising_rates(make_job):
    test = range_test(make_job("training.find_rate_steps=40", "training.schedule=one_cycle"), OneRank())
    assert len(test.rates) == len(test.losses) == len(test.smoothed) == 40
    assert test.losses[0] == pytest.approx(np.log(2), abs=0.02)  # an untrained model knows nothing
    assert min(test.losses) < 0.9 * test.losses[0]
    rate = suggested_rate(test)
    assert rate is not None and 1e-3 <= rate < 1.0


@pytest.mark.parametrize("highest", [1e5, 1e60])
def test_it_stops_when_the_loss_is_lost(make_job, monkeypatch, highest):
    monkeypatch.setattr(finder, "HIGHEST", highest)
    test = range_test(make_job("training.find_rate_steps=100"), OneRank())
    assert len(test.rates) < 100
    assert np.isfinite(test.losses).all()
    lost = [step for step, mean in enumerate(test.smoothed) if mean > 4 * min(test.smoothed[: step + 1])]
    assert lost in ([], [len(test.rates) - 1])


def test_the_steps_are_written_as_csv():
    test = RangeTest((0.001, 0.01), (0.7, 0.5), (0.7, 0.6))
    assert test.as_csv() == "rate,loss,smoothed\n0.001,0.7,0.7\n0.01,0.5,0.6\n"


def test_the_plot_is_a_png_with_or_without_a_suggestion():
    test = test_of([0.7, 0.6, 0.5])
    for suggested in (None, 0.01):
        assert plot(test, suggested, "neumf").startswith(b"\x89PNG\r\n")


def test_without_matplotlib_it_says_how_to_install_it_before_a_step_is_taken(make_job, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    run = SimpleNamespace(config=None)
    with pytest.raises(UserError, match=r"matplotlib is not installed: run `pip install 'recsys-spark\[explore\]'`"):
        finder.find_rate(run, make_job())  # type: ignore[arg-type]
