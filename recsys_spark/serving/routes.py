"""What a shop's backend asks: lists and items."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import Field

from recsys_spark.serving.answers import (
    MOST_EXCLUDED,
    MOST_N,
    Found,
    Id,
    Lists,
    ListsAsked,
    N,
    Problem,
    Product,
    Recommendations,
)
from recsys_spark.serving.lists import lists_for, product
from recsys_spark.serving.live import rescored
from recsys_spark.serving.service import asked, in_thread, service_of

LIST: Final = "recommendations"  # the route that `plain_lists` goes around
_TEXT: Final = 200  # the longest text to search for
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "no key of ours, where one is needed"},
    404: {"model": Problem, "description": "there is no such item or variant"},
    429: {"model": Problem, "description": "this key asks too often: see Retry-After"},
    503: {"model": Problem, "description": "nothing is published, or too much is asked at once: see Retry-After"},
}
NO_MODEL: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": Problem, "description": "the live night has no model that answers on the spot"}
}

router = APIRouter(prefix="/v1", responses=PROBLEMS)
Variant = Annotated[str | None, Query(description="whose lists; by default those that recommend.variant names")]
HowMany = Annotated[int, Query(ge=1, le=MOST_N, description="how many; a published list may be shorter")]
Excluded = Annotated[list[Id], Query(max_length=MOST_EXCLUDED, description="an item to leave out; may be given again")]
InContext = Annotated[
    list[Annotated[str, Field(pattern=r"^[^:\x00]{1,200}:[^\x00]{0,200}$")]],
    Query(
        max_length=20, description="`name:value`, as hour:13: the list is made anew for this moment; may be given again"
    ),
]


@router.get("/users/{user_id:path}/recommendations", tags=["lists"], responses=NO_MODEL, name=LIST)
async def recommendations(
    request: Request,
    user_id: Annotated[Id, Path(description="any text; /, ? and % are to be escaped")],
    n: HowMany = N,
    exclude: Excluded = [],  # noqa: B006
    context: InContext = [],  # noqa: B006
    variant: Variant = None,
) -> Recommendations:
    """One user's published list, or with `context` one made now; for whom there is none, what is popular, and `fallback`
    says so."""
    night = service_of(request).night(variant)
    if context:
        answer = await in_thread(rescored, night, user_id, context, n, exclude)
    else:
        (answer,) = await asked(night, lists_for, night, [user_id], n, exclude)
    service_of(request).metrics.count_lists([answer])
    return answer


@router.post("/users/recommendations", tags=["lists"])
async def recommendations_of_several(request: Request, body: ListsAsked) -> Lists:
    """Several users' lists, all of the same night."""
    night = service_of(request).night(body.variant)
    lists = await in_thread(lists_for, night, body.user_ids, body.n, body.exclude)
    service_of(request).metrics.count_lists(lists)
    return Lists(lists=lists)


@router.get("/items", tags=["items"])
async def search(
    request: Request,
    q: Annotated[str, Query(min_length=1, max_length=_TEXT, description="words, or how they begin")],
    n: HowMany = N,
    variant: Variant = None,
) -> Found:
    """Items whose title has every word of `q`, or one that begins with it, those that most users had first."""
    found = await in_thread(service_of(request).night(variant).search, q, n)
    return Found(items=[product(item) for item in found])


@router.get("/items/{item_id:path}", tags=["items"])
async def item(request: Request, item_id: Annotated[Id, Path()], variant: Variant = None) -> Product:
    """What is known of an item."""
    night = service_of(request).night(variant)
    found = await asked(night, night.items, [item_id])
    if not found:
        raise HTTPException(404, "there is no such item in the catalogue of the live night")
    return product(found[item_id])
