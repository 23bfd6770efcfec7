"""The settings of experiments; the defaults stand in `conf/default.yaml`."""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from recsys_spark.config_base import Positive, PositiveNumber, Section, Share

# names go into salts and into SQL, so that none may hold what separates one from another
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0)]
Role = Literal["primary", "secondary", "guardrail"]


class Metric(Section):
    """What is measured of a user. The user names it, so what is left out has its default here."""

    of: Literal["users", "events", "value"]
    types: list[str] = Field(default_factory=list)
    per: list[str] = Field(default_factory=list)
    role: Role = "secondary"
    goal: Literal["increase", "decrease"] = "increase"
    margin: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    winsorise: OpenShare | None = None
    cuped: bool = True

    @model_validator(mode="after")
    def _makes_sense(self) -> Metric:
        if self.of == "users" and (self.per or self.winsorise is not None):
            raise ValueError("`of: users` is a share of users: it takes neither `per` nor `winsorise`")
        if (self.margin > 0.0) != (self.role == "guardrail"):
            raise ValueError(
                "`margin`, the relative loss that is tolerated, is what a guardrail must have, and no other metric"
            )
        return self


class PowerSettings(Section):
    minimum_effect: PositiveNumber
    power: OpenShare
    baseline: float | None
    deviation: PositiveNumber | None
    users_a_day: PositiveNumber | None


class Experiment(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$")]
    layer: Name
    slots: tuple[Share, Share]
    holdout: Annotated[float, Field(ge=0.0, lt=1.0)]
    ramp: Share
    variants: dict[Name, Annotated[float, Field(gt=0.0)]]
    starts: date | None
    outcome_days: Positive
    history_days: Positive
    metrics: dict[Name, Metric]
    segments: list[str]
    test: Literal["fixed", "sequential"]
    alpha: OpenShare
    correction: Literal["holm", "benjamini_hochberg", "none"]
    mismatch_alpha: OpenShare
    exposure_types: list[str]
    design: PowerSettings

    @model_validator(mode="after")
    def _compares_something(self) -> Experiment:
        if len(self.variants) < 2:
            raise ValueError(
                f"an experiment of {len(self.variants)} variant compares nothing: give two or more in `variants`, the "
                "control first"
            )
        total = math.fsum(self.variants.values())
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"the shares of `variants` sum to {total:g}, expected 1")
        if self.slots[0] >= self.slots[1]:
            raise ValueError(f"`slots` go from {self.slots[0]:g} to {self.slots[1]:g}, expected a greater end")
        return self

    @model_validator(mode="after")
    def _has_one_primary_metric(self) -> Experiment:
        primary = [name for name, metric in self.metrics.items() if metric.role == "primary"]
        if self.metrics and len(primary) != 1:
            raise ValueError(
                f"`metrics` has {len(primary)} primary ones ({', '.join(primary) or 'none'}), expected exactly one, on which "
                "the design and the verdict rest"
            )
        return self

    @property
    def control(self) -> str:
        """The variant that the others are held against: the first."""
        return next(iter(self.variants))

    @property
    def treatments(self) -> list[str]:
        """All other variants."""
        return list(self.variants)[1:]

    @property
    def primary(self) -> str:
        """The metric that the verdict rests on."""
        return next(name for name, metric in self.metrics.items() if metric.role == "primary")

    @property
    def comparisons(self) -> int:
        """How many tests the correction is for: each treatment on each metric that is no guardrail."""
        return len(self.treatments) * sum(metric.role != "guardrail" for metric in self.metrics.values())
