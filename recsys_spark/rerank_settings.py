"""The section `recommend.rerank`: what is done to the model's best before a list is cut."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from recsys_spark.config_base import NotNegative, NotNegativeNumber, Positive, PositiveNumber, Section, Share

# YAML reads a year as a number
GroupName = Annotated[str, BeforeValidator(lambda name: str(name) if type(name) is int else name)]


class Freshness(Section):
    weight: NotNegativeNumber
    half_life_days: PositiveNumber


class Diversity(Section):
    kind: Literal["none", "mmr", "dpp"]
    relevance: Share
    by: Literal["vectors", "category"]


class Exposure(Section):
    group: str
    least: dict[GroupName, Share]
    of: Literal["exposure", "places"]

    @model_validator(mode="after")
    def _is_possible(self) -> Exposure:
        if self.least and not self.group:
            raise ValueError("`least` names groups, expected `group` to say of what: popularity, category, brand, ...")
        if sum(self.least.values()) > 1.0 + 1e-9:
            raise ValueError(f"the shares of `least` sum to {sum(self.least.values()):g}, expected at most 1")
        return self


class Exploration(Section):
    epsilon: Share
    places: Positive


class Rerank(Section):
    pool: Positive
    freshness: Freshness
    diversity: Diversity
    category_cap: NotNegative
    exposure: Exposure
    exploration: Exploration
    effects_users: NotNegative
