"""What the live model is asked and answers, as types: see `answers` for what they share with published lists."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from recsys_spark.serving.answers import MOST_EXCLUDED, MOST_N, Id, N, Recommended

MOST_ITEMS: Final = 500  # of a request's history
MOST_CANDIDATES: Final = 1000
MOST_TOGETHER: Final = 50  # requests in one
_LONGEST_VALUE: Final = 200

Value = Annotated[str, Field(max_length=_LONGEST_VALUE)] | int | Annotated[float, Field(allow_inf_nan=False)]
Context = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=_LONGEST_VALUE)], Value],
    Field(
        max_length=20, description="the moment, by the names of recommend.context: hour, weekday, month, context.KEY"
    ),
]
Items = Annotated[
    list[Id], Field(max_length=MOST_ITEMS, description="what was taken or looked at lately, oldest first")
]
Whom = Annotated[Id | None, Field(description="whose own history comes before the items; null: nobody's")]
VariantName = Annotated[str | None, Field(description="whose night; by default that of recommend.variant")]


class WhomToAnswer(BaseModel):
    """Somebody, and what they do now."""

    items: Items = []
    user_id: Whom = None
    context: Context = {}


class LiveAsked(WhomToAnswer):
    """Items for somebody, made on the spot."""

    n: int = Field(N, ge=1, le=MOST_N, description="how many")
    exclude: list[Id] = Field(default=[], max_length=MOST_EXCLUDED, description="items to leave out")
    variant: VariantName = None

    model_config = ConfigDict(json_schema_extra={"example": {"items": ["1082185", "995242"], "user_id": "128", "n": 5}})


class LiveBatchAsked(BaseModel):
    """Several lists in one request, all of one night."""

    requests: list[WhomToAnswer] = Field(min_length=1, max_length=MOST_TOGETHER, description="a list comes for each")
    n: int = Field(N, ge=1, le=MOST_N, description="items of a list")
    exclude: list[Id] = Field(default=[], max_length=MOST_EXCLUDED, description="items that no list may have")
    variant: VariantName = None

    model_config = ConfigDict(
        json_schema_extra={"example": {"requests": [{"items": ["1082185"]}, {"items": ["995242"], "user_id": "128"}]}}
    )


class LiveList(BaseModel):
    """A list that was made on the spot."""

    user_id: str | None
    variant: str
    as_of_date: date = Field(description="the last day whose events the model and the kept histories know")
    model_version: str = Field(description="the model that answered; of a fallback, the one behind the published lists")
    fallback: bool = Field(description="true: no item and no user that the model knows, so this is what is popular")
    items: list[Recommended]
    ignored: list[str] = Field(description="ids among items and exclude that are of no item")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "user_id": "128",
                "variant": "default",
                "as_of_date": "2017-12-31",
                "model_version": "two_tower-20171231-production-0d0c1a5e2f3b",
                "fallback": False,
                "items": [
                    {
                        "rank": 1,
                        "item_id": "1082185",
                        "title": "Bananas, 40 LB",
                        "score": 7.5,
                        "reason_code": "repeat",
                        "reason": "had before, and likely again",
                        "reason_item_id": "1082185",
                    }
                ],
                "ignored": [],
            }
        }
    )


class LiveLists(BaseModel):
    """A list for each request, in order."""

    lists: list[LiveList]


class PairsAsked(WhomToAnswer):
    """Scores of certain items for somebody."""

    candidates: list[Id] = Field(min_length=1, max_length=MOST_CANDIDATES, description="what is to be scored")
    variant: VariantName = None

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": ["1082185"], "candidates": ["995242", "1029743"], "user_id": None}}
    )


class Scored(BaseModel):
    """A candidate's score."""

    item_id: str
    score: float = Field(description="comparable within one answer only")


class Pairs(BaseModel):
    """Scores, in the order of the candidates."""

    scores: list[Scored]
    model_version: str
    fallback: bool = Field(description="true: nothing to go by, so scores are shares of users")
    ignored: list[str] = Field(description="ids of no item, and candidates newer than the model")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "scores": [{"item_id": "995242", "score": 3.25}],
                "model_version": "two_tower-20171231-production-0d0c1a5e2f3b",
                "fallback": False,
                "ignored": [],
            }
        }
    )


class Alike(BaseModel):
    """An item near another."""

    rank: int
    item_id: str
    title: str | None
    category: str | None
    score: float = Field(description="cosine of the two items' vectors, at most 1")


class Similar(BaseModel):
    """The items nearest to one by the live model's vectors, nearest first."""

    item_id: str
    model_version: str
    items: list[Alike]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "item_id": "1082185",
                "model_version": "two_tower-20171231-production-0d0c1a5e2f3b",
                "items": [{"rank": 1, "item_id": "995242", "title": "Milk", "category": "DAIRY", "score": 0.5}],
            }
        }
    )


class Taken(BaseModel):
    """An item that a user had."""

    item_id: str
    title: str | None
    category: str | None
    day: date = Field(description="UTC")


class Taking(BaseModel):
    """What a user had last, newest first."""

    user_id: str
    items: list[Taken]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "user_id": "128",
                "items": [{"item_id": "1082185", "title": "Bananas", "category": "PRODUCE", "day": "2017-12-31"}],
            }
        }
    )
