"""Mistaken settings of an experiment are said in words."""

from __future__ import annotations

import pytest

from recsys_spark.errors import UserError
from tests.experiments.settings import CONVERSION, experiment


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variants": {"a": 0.5, "b": 0.4}}, r"`variants` sum to 0\.9, expected 1"),
        ({"variants": {"a": 0.6, "b": 0.6}}, r"`variants` sum to 1\.2, expected 1"),
        ({"variants": {"a": 1.0}}, "an experiment of 1 variant compares nothing"),
        ({"variants": {"a": 1.0, "b": 0.0}}, "greater than 0"),
        ({"slots": [0.5, 0.5]}, r"`slots` go from 0\.5 to 0\.5, expected a greater end"),
        ({"name": "a:b"}, "pattern"),
        ({"metrics": {"a": {"of": "events"}}}, r"0 primary ones \(none\), expected exactly one"),
        ({"metrics": CONVERSION | {"b": {"of": "events", "role": "primary"}}}, r"2 primary ones \(conversion, b\)"),
        ({"metrics": {"a": {"of": "users", "per": ["view"], "role": "primary"}}}, "takes neither `per` nor"),
        ({"metrics": CONVERSION | {"b": {"of": "events", "role": "guardrail"}}}, "is what a guardrail must have"),
        ({"metrics": CONVERSION | {"b": {"of": "events", "margin": 0.1}}}, "and no other metric"),
    ],
)
def test_a_mistake_is_said(settings, message):
    with pytest.raises(UserError, match=message):
        experiment(**settings)


def test_shares_that_sum_to_one_but_for_rounding_are_taken():
    thirds = experiment(variants=dict.fromkeys("abc", 1 / 3))
    assert (thirds.control, thirds.treatments) == ("a", ["b", "c"])
    assert experiment(variants={str(n): 0.1 for n in range(10)}).comparisons == 9
