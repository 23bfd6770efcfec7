"""What the service answers and is asked, as types: they make the OpenAPI description, and the client reads them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

LONGEST_ID: Final = 512
N: Final = 10  # items of a list, where the request does not say
MOST_N: Final = 100
MOST_USERS: Final = 100
MOST_EXCLUDED: Final = 1000

Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, pattern=r"^[^\x00]+$")]


class Product(BaseModel):
    """An item of the catalogue."""

    item_id: str
    title: str | None = Field(None, description="null where nothing was ingested that names it")
    category: str | None = Field(None, description="categories or genres, joined by |")
    brand: str | None = None
    price: float | None = Field(None, description="in the source's own currency")
    year: int | None = None
    users: int = Field(description="how many had it by the lists' date")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "item_id": "1082185",
                "title": "Bananas, 40 LB",
                "category": "PRODUCE|TROPICAL FRUIT",
                "brand": "National",
                "price": None,
                "year": None,
                "users": 1792,
            }
        }
    )


class Recommended(BaseModel):
    """A place of a list."""

    rank: int = Field(description="from 1, without gaps")
    item_id: str
    title: str | None
    score: float = Field(description="comparable within one list only")
    reason_code: str = Field(description="as in recommendations_current")
    reason: str = Field(description="the reason in words, for people")
    reason_item_id: str | None = Field(description="the item that the reason speaks of")


class Recommendations(BaseModel):
    """One user's list."""

    user_id: str
    fallback: bool = Field(description="true: nothing is published for this user, so this is what is popular")
    variant: str
    as_of_date: date = Field(description="the last day whose events the lists know")
    model_version: str = Field(description="the model behind the published lists")
    items: list[Recommended]
    ignored: list[str] = Field(description="ids given to exclude that are of no item")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "user_id": "128",
                "fallback": False,
                "variant": "default",
                "as_of_date": "2017-12-31",
                "model_version": "neumf-20171231-production-0d0c1a5e2f3b",
                "items": [
                    {
                        "rank": 1,
                        "item_id": "1082185",
                        "title": "Bananas, 40 LB",
                        "score": 5.25,
                        "reason_code": "repeat",
                        "reason": "had before, and likely again",
                        "reason_item_id": "1082185",
                    }
                ],
                "ignored": [],
            }
        }
    )


class ListsAsked(BaseModel):
    """Several users' lists in one request."""

    user_ids: list[Id] = Field(min_length=1, max_length=MOST_USERS, description="a list comes for each, in this order")
    n: int = Field(N, ge=1, le=MOST_N, description="items of a list")
    exclude: list[Id] = Field(default=[], max_length=MOST_EXCLUDED, description="items that no list may have")
    variant: str | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"user_ids": ["128", "2232"], "n": 5}})


class Lists(BaseModel):
    """One list for each user asked for, all of one night."""

    lists: list[Recommendations]


class Found(BaseModel):
    """Items whose titles match, those that most users had first."""

    items: list[Product]


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str
