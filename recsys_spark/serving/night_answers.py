"""What the service tells of a night itself: its health, its users, its items on a plane."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, Field


class Gate(BaseModel):
    """A gate that the night's lists were held against."""

    gate: str
    value: float | None = Field(description="null: there was nothing to measure it by")
    low: float | None = Field(description="the least that passes; null: no such bound")
    high: float | None
    verdict: str = Field(description="passed, failed, not_measured, or forced: failed and published all the same")
    reason: str = Field(description="in words")


class Figure(BaseModel):
    """How good the model was measured to be, or a baseline beside it; for everyone, with a 95% interval."""

    model_name: str = Field(description="the model's, or popularity or random")
    protocol: str = Field(description="sampled: among candidates; full: among all items; ratings: values predicted")
    split: str = Field(description="train, validation or test")
    metric: str
    k: int | None = Field(description="length of the list; null where the metric has none")
    value: float | None
    low: float | None
    high: float | None
    n: int = Field(description="users (or pairs) it is taken over")


class Health(BaseModel):
    """What was known of a night when it was published."""

    gates: list[Gate]
    measured: list[Figure]


class LiveNight(BaseModel):
    """The live night of a variant."""

    variant: str
    name: str
    as_of_date: date = Field(description="the last day whose events the lists know")
    model_version: str
    users: int = Field(description="who have a list")
    health: Health | None = Field(description="null: published before it was written down")


class Nights(BaseModel):
    """The live nights, by variant."""

    variant: str = Field(description="that of requests which name none")
    nights: list[LiveNight]


class Users(BaseModel):
    """Users who have a list, in order of their ids."""

    user_ids: list[str]


class Place(BaseModel):
    """An item on the plane."""

    item_id: str
    title: str | None
    category: str | None
    users: int
    x: float = Field(description="from -1 to 1")
    y: float = Field(description="from -1 to 1")


class Map(BaseModel):
    """Items by the two directions in which the vectors of a model differ most, those of most users first."""

    model_version: str
    explained: tuple[float, float] = Field(description="share of the vectors' variance along x and y")
    items: list[Place]
