"""Days that are not like others, held against the gates as they are set: each is published whole or not at all."""

from __future__ import annotations

import pytest

from recsys_spark.config import load_config
from recsys_spark.publish.gates import judged

ORDINARY = {
    "users_ratio": 1.01,
    "rows_ratio": 1.01,
    "full_lists": 1.0,
    "fallback": 0.02,
    "coverage": 0.4,
    "overlap": 0.6,
    "lift_ratio": 1.0,
    "over_popularity": 1.8,
    "score_drift": 0.05,
    "event_age_days": 0.0,
}


@pytest.mark.parametrize(
    ("day", "figures", "stopped_by"),
    [
        ("ordinary", {}, []),
        ("without events", {"event_age_days": 1.0, "overlap": 1.0, "users_ratio": 1.0, "score_drift": 0.0}, []),
        ("the fourth without events", {"event_age_days": 4.0}, ["event_age_days"]),
        ("ten times the events of the same users", {"overlap": 0.3, "score_drift": 0.4}, []),
        (
            "ten times the users",
            {"users_ratio": 10.0, "rows_ratio": 10.0, "fallback": 0.8},
            ["users_ratio", "rows_ratio", "fallback"],
        ),
        ("half of the catalogue is gone, lists are full", {"overlap": 0.3, "coverage": 0.2}, []),
        ("half of the catalogue is gone, lists are not full", {"overlap": 0.3, "full_lists": 0.7}, ["full_lists"]),
        ("half of the users are gone", {"users_ratio": 0.5, "rows_ratio": 0.5}, ["users_ratio", "rows_ratio"]),
        ("lists are half as long", {"rows_ratio": 0.5, "overlap": 0.5}, ["rows_ratio"]),
        ("the index was made anew", {"overlap": 0.01}, ["overlap"]),
        ("the clock is a month ahead", {"event_age_days": 30.0}, ["event_age_days"]),
    ],
)
def test_a_faulty_day_is_stopped_where_it_must_be(day, figures, stopped_by):
    checked = judged({**ORDINARY, **figures}, load_config().publish.gates.bounds())
    assert [one.gate for one in checked if one.stops] == stopped_by, day
