"""What stands on the verdict page."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pytest

from recsys_spark.experiments.findings import Key, findings
from recsys_spark.experiments.moments import Moments
from recsys_spark.experiments.page import Report, page
from recsys_spark.experiments.verdict import verdict
from tests.experiments.settings import CONVERSION, experiment

USERS = {"control": 5000, "treatment": 5000}
METRICS = CONVERSION | {"flat": {"of": "events"}, "views": {"of": "events", "role": "guardrail", "margin": 0.05}}


def written(looks: int) -> str:
    chosen = experiment(metrics=METRICS)
    sums = {}
    for segment in ("all", "gender=F"):
        for metric, spread, change in (("conversion", 1.0, 0.1), ("flat", 0.0, 0.0), ("views", 1.0, 0.05)):
            for name in USERS:
                mean = 1.0 + change * (name == "treatment")
                moments = Moments(5000, np.array([mean, 1.0, 0.0, 1.0]), np.diag([spread, 0.0, 0.0, 0.0]))
                sums[Key(segment, metric, name)] = moments
    found = findings(chosen, 10_000, sums)
    told = [verdict(chosen, "treatment", found, USERS, 10_000, 10_000)]
    design = {"users": 10_000, "days": 20, "starts": date(2024, 3, 1), "minimum_effect": 0.05}
    each = [
        {
            "as_of_date": date(2024, 3, 10 + n),
            "variant": "treatment",
            "lift": 0.1,
            "lift_low": 0.0,
            "lift_high": 0.2,
            "p_value": 0.1,
        }
        for n in range(looks)
    ]
    report = Report(chosen, date(2024, 3, 31), design, found, told, {"users in several variants": 7}, USERS, each)
    return page(report).html()


@pytest.mark.parametrize(("looks", "words"), [(1, "Looked at once so far."), (5, "lift of conversion")])
def test_the_page_says_what_to_do_and_why(looks, words):
    html = written(looks)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).lower()
    assert "treatment: ship better: conversion +10.00%" in text
    assert "flat of treatment cannot be tested zero variance" in text
    assert "nobody planned to look here" in text and "gender=f" in text
    assert "sample-ratio mismatch: p = 1;" in text and "users in several variants 7" in text
    assert words.lower() in text
    assert html.count("<svg") == 2 + (looks > 1)
