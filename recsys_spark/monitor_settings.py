"""The settings of monitoring: what is measured by day, and what its bounds are learnt from."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from recsys_spark.config_base import Positive, PositiveNumber, Section

FeatureName = Literal["event_type", "hour", "event_value", "category", "item_popularity", "user_activity"]


class Monitor(Section):
    ks: Annotated[list[Positive], Field(min_length=1)]
    features: list[FeatureName]
    reference_days: Positive
    stale_days: Positive
    history_days: Positive
    least_days: Annotated[int, Field(ge=3)]
    alarms_per_month: PositiveNumber
    since: date | None

    @model_validator(mode="after")
    def _has_enough_history(self) -> Monitor:
        if self.least_days > self.history_days:
            raise ValueError(f"least_days is {self.least_days}, expected at most history_days, {self.history_days}")
        return self
