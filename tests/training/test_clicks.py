from __future__ import annotations

from typing import Any

import pytest

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.training.clicks import click_loss

POSITIONS: list[dict[str, Any]] = [
    {"shown_at": 3, "position": "2", "propensity": 0.4},
    {"shown_at": 0, "position": None, "propensity": None},
    {"shown_at": 2, "position": "1", "propensity": 1.0},
    {"shown_at": 1, "position": None, "propensity": 0.01},
]


def told(*settings: str, positions: list[dict[str, Any]] = POSITIONS) -> dict[str, Any]:
    return click_loss(positions, load_config(settings=[f"training.{each}" for each in settings]).training)


def test_propensities_are_estimated_or_given_and_never_too_small():
    assert told("position=weights", "least_propensity=0.1")["propensities"] == [1.0, 0.1, 1.0, 0.4]
    given = told("position=weights", "propensities={1: 1.0, 2: 0.02}")
    assert given == {"position": "weights", "codes": 4, "dropout": 0.1, "propensities": [1.0, 1.0, 1.0, 0.05]}


def test_what_can_not_be_told_apart_or_weighed_is_refused():
    with pytest.raises(UserError, match=r"training\.propensities has none for position 2:"):
        told("position=weights", "propensities={1: 1.0}")
    with pytest.raises(UserError, match=r"position is tower, but no impression.*examples\.position_key"):
        told("position=tower", positions=POSITIONS[1::2])
    assert told("position=ignore", positions=POSITIONS[1::2])["codes"] == 2
