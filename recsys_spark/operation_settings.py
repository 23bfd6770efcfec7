"""Sections of the configuration that say how tables are kept and who is told; the defaults stand in `conf/default.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from recsys_spark.config_base import NotNegative, PositiveNumber, Section


class Maintain(Section):
    keep_days: NotNegative
    keep_dates: NotNegative
    keep_slices: NotNegative
    least_hours: NotNegative
    optimize: bool
    dry_run: bool


class Alerts(Section):
    when: list[Literal["done", "failed", "gated"]]
    command: list[Annotated[str, Field(min_length=1)]]
    webhook: str
    webhook_env: str
    seconds: PositiveNumber
    retries: Annotated[int, Field(ge=0, le=5)]

    @model_validator(mode="after")
    def _has_one_webhook(self) -> Alerts:
        if self.webhook and self.webhook_env:
            raise ValueError("webhook and webhook_env are both set: leave one empty")
        return self
