"""Sections of `recommend`: where candidates come from, and what may be in nobody's or in somebody's list."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from recsys_spark.config_base import NotNegative, NotNegativeNumber, Positive, PositiveNumber, Section, Share

CandidateSource = Literal["model", "retriever", "co_occurrence", "recent_popular", "new_items", "repeat"]


class CandidateSettings(Section):
    sources: dict[CandidateSource, Positive]
    table: bool
    retriever: str
    index: Literal["exact", "ivf"]
    ivf_probed: Annotated[float, Field(gt=0.0, le=1.0)]
    ivf_rescored: Positive
    ivf_recall: Share
    ivf_recall_users: NotNegative
    latest: Positive
    neighbours: Positive
    counted: Annotated[int, Field(gt=0, le=1000)]
    shrinkage: NotNegativeNumber
    recent_days: Positive
    new_days: Positive
    half_life_days: PositiveNumber

    @model_validator(mode="after")
    def _names_the_retriever(self) -> CandidateSettings:
        if "retriever" in self.sources and not self.retriever:
            raise ValueError("source retriever: set `retriever` to the model.name that finds them, as two_tower")
        return self


class Rule(Section):
    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    users: Annotated[str, Field(min_length=1)]
    items: Annotated[str, Field(min_length=1)]


class FilterSettings(Section):
    blocked_categories: list[str]
    rules: Annotated[list[Rule], Field(max_length=62)]  # a bit each of a signed long

    @model_validator(mode="after")
    def _has_each_rule_once(self) -> FilterSettings:
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rules are called {', '.join(twice)}; give each a name of its own")
        return self
