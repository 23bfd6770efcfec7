"""The settings of publishing: what each gate lets through."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import model_validator

from recsys_spark.config_base import Positive, Section

GateName = Literal[
    "users_ratio",
    "rows_ratio",
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


class Gates(Section):
    """A section, so that setting one leaves the others as they are."""

    users_ratio: Bounds
    rows_ratio: Bounds
    full_lists: Bounds
    fallback: Bounds
    coverage: Bounds
    overlap: Bounds
    lift_ratio: Bounds
    over_popularity: Bounds
    score_drift: Bounds
    event_age_days: Bounds

    def bounds(self) -> dict[GateName, Bounds]:
        """Those of each gate, in order."""
        return cast("dict[GateName, Bounds]", dict(self))


class Publish(Section):
    gates: Gates
    quality_k: Positive
    champion: bool
