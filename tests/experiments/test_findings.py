"""What figures are taken to say: statuses, corrections, verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recsys_spark.experiments.findings import Finding, Key, findings
from recsys_spark.experiments.moments import Moments
from recsys_spark.experiments.verdict import mismatch, verdict
from tests.experiments.settings import CONVERSION, experiment

METRICS = CONVERSION | {
    "spend": {"of": "value"},
    "returns": {"of": "events", "goal": "decrease"},
    "views": {"of": "events", "role": "guardrail", "margin": 0.05},
}
EVEN = {"control": 5000, "treatment": 5000}


def group(mean: float, variance: float = 1.0, n: int = 5000) -> Moments:
    return Moments(n, np.array([mean, 1.0, 0.0, 1.0]), np.diag([variance, 0.0, 0.0, 0.0]))


def found(chosen=None, **treated: Moments) -> dict[str, Finding]:
    """Findings of a control whose every metric is 1 beside a treatment of these."""
    sums = {}
    for name in METRICS:
        sums[Key("all", name, "control")] = group(1.0)
        sums[Key("all", name, "treatment")] = treated.get(name, group(1.0))
    chosen = chosen or experiment(metrics=METRICS, test="fixed")
    return {one.metric: one for one in findings(chosen, 10_000, sums)}


def judged(chosen=None, users=EVEN, planned=10_000, **treated: Moments):
    chosen = chosen or experiment(metrics=METRICS, test="fixed")
    listed = list(found(chosen, **treated).values())
    return verdict(chosen, "treatment", listed, users, planned, sum(users.values()))


def test_figures_and_statuses():
    one = found(conversion=group(1.1), spend=group(0.9), returns=group(0.9), views=group(0.98))
    assert {name: finding.status for name, finding in one.items()} == {
        "conversion": "better",
        "spend": "worse",
        "returns": "better",  # fewer is what is wanted
        "views": "unproven",
    }
    assert one["conversion"].p_value == pytest.approx(2 * 2.866516e-7, rel=1e-4)  # z = 5
    assert one["conversion"].interval == pytest.approx((0.1 - 1.959964 * 0.02, 0.1 + 1.959964 * 0.02))
    assert one["conversion"].reason.startswith("+10.00% (95% interval +5.8")
    assert one["conversion"].reason.endswith("p < 0.0001, corrected < 0.0001")


def test_holm_by_hand_over_what_is_no_guardrail():
    """z of 2.5, 2.1 and 1 are p of 0.0124, 0.0357 and 0.3173: Holm multiplies by 3, 2 and 1."""
    treated = {"conversion": group(1.05), "spend": group(1.042), "returns": group(1.02), "views": group(1.2)}
    one = found(**treated)
    assert one["conversion"].p_adjusted == pytest.approx(3 * 0.012419, rel=1e-3)
    assert one["spend"].p_adjusted == pytest.approx(2 * 0.035729, rel=1e-3)
    assert one["returns"].p_adjusted == pytest.approx(0.317311, rel=1e-3)
    assert math.isnan(one["views"].p_adjusted)
    assert (one["conversion"].status, one["spend"].status) == ("better", "open")
    plain = found(experiment(metrics=METRICS, test="fixed", correction="none"), **treated)
    assert plain["spend"].status == "better"
    hochberg = found(experiment(metrics=METRICS, test="fixed", correction="benjamini_hochberg"), **treated)
    assert hochberg["spend"].p_adjusted == pytest.approx(0.035729 * 3 / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("mean", "status"), [(1.0, "held"), (1.5, "held"), (0.975, "unproven"), (0.9, "harmed"), (0.955, "harmed")]
)
def test_a_guardrail_holds_where_a_loss_over_its_margin_is_ruled_out(mean, status):
    """The interval of a lift of 0 or less reaches 0.028 to both sides; the margin is 0.05."""
    variance = 0.5 if mean <= 1.0 else 1.0
    sums = {
        Key("all", "views", "control"): group(1.0, variance),
        Key("all", "views", "treatment"): group(mean, variance),
    }
    listed = findings(experiment(metrics=METRICS, test="fixed"), 10_000, sums)
    assert next(one.status for one in listed if one.metric == "views") == status


def test_zero_variance_and_nothing_to_divide_by_are_said():
    chosen = experiment(metrics=CONVERSION | {"rate": {"of": "events", "types": ["click"], "per": ["view"]}})
    nothing = Moments(50, np.array([1.0, 0.0, 0.0, 1.0]), np.zeros((4, 4)))
    sums = {Key("all", name, variant): nothing for name in chosen.metrics for variant in chosen.variants}
    sums |= {Key("all", "conversion", variant): group(1.0, variance=0.0) for variant in chosen.variants}
    same, rate = findings(chosen, 10_000, sums)
    assert (same.status, rate.status) == ("untestable", "untestable")
    assert same.reason == "zero variance: every user of a variant has the same value, 1 and 1"
    assert rate.reason == "nothing to divide by: no event of view"
    told = verdict(chosen, "treatment", [same, rate], EVEN, 10_000, 10_000)
    assert (told.verdict, told.reason.partition(":")[0]) == ("invalid", "conversion cannot be tested")


def test_segments_are_exploration_and_not_corrected():
    chosen = experiment(metrics=METRICS)
    sums = {
        Key(segment, "conversion", variant): group(1.0 + (variant == "treatment"))
        for segment in ("all", "age=1")
        for variant in EVEN
    }
    listed = [one for one in findings(chosen, 10_000, sums) if one.metric == "conversion"]
    assert [(one.segment, one.status) for one in listed] == [("all", "better"), ("age=1", "exploratory")]
    assert math.isnan(listed[1].p_adjusted) and listed[1].p_value < 0.001


@pytest.mark.parametrize(
    ("case", "expected", "words"),
    [
        ({"conversion": group(1.1)}, "ship", "better: conversion +10.00%"),
        ({"conversion": group(1.1), "views": group(0.98)}, "wait", "not yet shown to hold: views -2.00%"),
        ({"conversion": group(1.1), "views": group(0.9)}, "stop", "it does harm: views -10.00%"),
        ({"conversion": group(0.9)}, "stop", "it does harm: conversion -10.00%"),
        ({}, "stop", "no difference found, with 10,000 of the 10,000"),
        ({"planned": 20_000, "conversion": group(1.1)}, "wait", "a fixed test is read once"),
        ({"users": {"control": 5000, "treatment": 4500}, "conversion": group(1.1)}, "invalid", "sample-ratio mismatch"),
        ({"users": {"control": 5000}}, "invalid", "treatment has 0 users, expected 2,500"),
    ],
)
def test_verdicts(case, expected, words):
    told = judged(**case)
    assert told.verdict == expected
    assert words in told.reason


def test_a_sequential_test_ends_as_soon_as_it_is_sure():
    looking = experiment(metrics=METRICS)
    assert judged(looking, planned=20_000, conversion=group(1.1), views=group(1.1)).verdict == "ship"
    assert judged(looking, planned=20_000, conversion=group(1.05), views=group(1.1)).verdict == "wait"


def test_mismatch_is_pearsons_test():
    """(5200 - 5000)^2 / 5000 twice is 16, of one degree of freedom."""
    assert mismatch({"a": 0.5, "b": 0.5}, {"a": 5200, "b": 4800}) == pytest.approx(6.334e-5, rel=1e-3)
    assert mismatch({"a": 0.8, "b": 0.2}, {"a": 800, "b": 200}) == 1.0
