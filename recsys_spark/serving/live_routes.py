"""What is answered on the spot: lists, scores and neighbours by the live model, and what somebody had last."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request

from recsys_spark.serving import live
from recsys_spark.serving.answers import Id, N
from recsys_spark.serving.live_answers import (
    LiveAsked,
    LiveBatchAsked,
    LiveList,
    LiveLists,
    Pairs,
    PairsAsked,
    Similar,
    Taking,
)
from recsys_spark.serving.routes import NO_MODEL, PROBLEMS, HowMany, Variant
from recsys_spark.serving.service import in_thread, service_of

router = APIRouter(prefix="/v1", responses={**PROBLEMS, **NO_MODEL})


@router.post("/recommend", tags=["live"])
async def recommend(request: Request, body: LiveAsked) -> LiveList:
    """Items for somebody by what they had, made now: the user's kept history first, then `items`.

    Where neither is known to the model it is what is popular, and `fallback` says so.
    """
    night = service_of(request).night(body.variant)
    answer = await in_thread(live.live_list, night, body, body.n, body.exclude)
    service_of(request).metrics.count_lists([answer])
    return answer


@router.post("/recommend/batch", tags=["live"])
async def recommend_to_several(request: Request, body: LiveBatchAsked) -> LiveLists:
    """Several such lists, all of one night."""
    night = service_of(request).night(body.variant)
    answer = await in_thread(live.live_lists, night, body.requests, body.n, body.exclude)
    service_of(request).metrics.count_lists(answer.lists)
    return answer


@router.post("/score", tags=["live"])
async def score(request: Request, body: PairsAsked) -> Pairs:
    """Scores of certain items for somebody. Nothing is filtered: what lists leave out has a score, too."""
    return await in_thread(live.scored, service_of(request).night(body.variant), body)


@router.get("/items/{item_id:path}/similar", tags=["live"])
async def similar(request: Request, item_id: Annotated[Id, Path()], n: HowMany = N, variant: Variant = None) -> Similar:
    """The items nearest to one by the cosine of the model's item vectors, less what nobody may be shown."""
    found = await in_thread(live.similar, service_of(request).night(variant), item_id, n)
    if found is None:
        raise HTTPException(404, "there is no such item, or it is newer than the model that answers live")
    return found


@router.get("/users/{user_id:path}/history", tags=["live"])
async def history(request: Request, user_id: Annotated[Id, Path()], n: HowMany = N, variant: Variant = None) -> Taking:
    """What a user had last, newest first."""
    found = await in_thread(live.taking, service_of(request).night(variant), user_id, n)
    if found is None:
        raise HTTPException(404, "nothing is kept of such a user beside the live lists")
    return found
