"""What a shop's backend asks: lists and items."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request

from recsys_spark.serve_settings import Serve
from recsys_spark.serving.answers import Found, Id, Lists, ListsAsked, Problem, Product, Recommendations
from recsys_spark.serving.keys import authorised
from recsys_spark.serving.lists import lists_for, product
from recsys_spark.serving.service import Live, in_thread, service_of

_TEXT: Final = 200  # the longest text to search for
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "no key of ours, where one is needed"},
    404: {"model": Problem, "description": "there is no such item or variant"},
    429: {"model": Problem, "description": "this key asks too often: see Retry-After"},
    503: {"model": Problem, "description": "nothing is published, or too much is asked at once: see Retry-After"},
}

router = APIRouter(prefix="/v1", dependencies=[Depends(authorised)], responses=_PROBLEMS)
N = Annotated[int | None, Query(ge=1, description="how many; a published list may be shorter")]


@router.get("/users/{user_id:path}/recommendations", tags=["lists"])
async def recommendations(
    request: Request,
    night: Live,
    user_id: Annotated[Id, Path(description="any text; /, ? and % are to be escaped")],
    n: N = None,
    exclude: Annotated[list[Id], Query(description="an item to leave out; may be given again")] = [],  # noqa: B006
) -> Recommendations:
    """One user's published list; for whom none is published, what is popular, and `fallback` says so."""
    wanted = _wanted(service_of(request).settings, n, exclude)
    (answer,) = await in_thread(lists_for, night, [user_id], wanted, exclude)
    _count(request, [answer])
    return answer


@router.post("/users/recommendations", tags=["lists"])
async def recommendations_of_several(request: Request, asked: ListsAsked) -> Lists:
    """Several users' lists, all of the same night."""
    service = service_of(request)
    wanted = _wanted(service.settings, asked.n, asked.exclude)
    _refuse_more("user_ids", len(asked.user_ids), service.settings.most_users)
    lists = await in_thread(lists_for, service.night(asked.variant), asked.user_ids, wanted, asked.exclude)
    _count(request, lists)
    return Lists(lists=lists)


@router.get("/items", tags=["items"])
async def search(
    request: Request,
    night: Live,
    q: Annotated[str, Query(min_length=1, max_length=_TEXT, description="words, or how they begin")],
    n: N = None,
) -> Found:
    """Items whose title has every word of `q`, or one that begins with it, those that most users had first."""
    found = await in_thread(night.search, q, _wanted(service_of(request).settings, n))
    return Found(items=[product(item) for item in found])


@router.get("/items/{item_id:path}", tags=["items"])
async def item(night: Live, item_id: Annotated[Id, Path()]) -> Product:
    """What is known of an item."""
    found = await in_thread(night.items, [item_id])
    if not found:
        raise HTTPException(404, "there is no such item in the catalogue of the live night")
    return product(found[item_id])


def _wanted(settings: Serve, n: int | None, exclude: list[str] | None = None) -> int:
    """How many items, where that is not too many.

    Raises:
        HTTPException: 422, more than the configuration lets anyone ask for.
    """
    _refuse_more("n", n or 0, settings.most_n)
    _refuse_more("exclude", len(exclude or ()), settings.most_excluded)
    return n or settings.n


def _refuse_more(what: str, asked: int, most: int) -> None:
    if asked > most:
        raise HTTPException(422, f"{what}: {asked} is more than may be asked for, {most}")


def _count(request: Request, lists: list[Recommendations]) -> None:
    counter = service_of(request).metrics.lists
    for answer in lists:
        counter.labels(str(answer.fallback).lower()).inc()
