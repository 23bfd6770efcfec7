"""The settings of publishing: what each gate lets through."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from recsys_spark.config_base import Positive, Section

GateName = Literal[
    "users_ratio",
    "full_lists",
    "fallback",
    "coverage",
    "overlap",
    "lift_ratio",
    "over_popularity",
    "score_drift",
    "event_age_days",
]


class Bounds(Section):
    """What a figure may be; None is no bound."""

    low: float | None
    high: float | None

    @model_validator(mode="after")
    def _is_a_range(self) -> Bounds:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low is {self.low} and above high, {self.high}")
        return self


class Publish(Section):
    gates: dict[GateName, Bounds]
    quality_k: Positive
    champion: bool
