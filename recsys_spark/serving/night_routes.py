"""What is asked about the live nights themselves: their health, who has a list, the items on a plane."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Query, Request, Response

from recsys_spark.serving.answers import LONGEST_ID
from recsys_spark.serving.night_answers import Health, LiveNight, Map, Nights, Users
from recsys_spark.serving.routes import PROBLEMS, HowMany, Variant
from recsys_spark.serving.service import in_thread, service_of
from recsys_spark.serving.sheet_names import HEALTH, MAP
from recsys_spark.serving.store import Night

_JSON: Final = "application/json"

router = APIRouter(prefix="/v1", responses=PROBLEMS)
Start = Annotated[str, Query(max_length=LONGEST_ID, pattern=r"^[^\x00]*$", description="how their ids begin")]


@router.get("/night", tags=["nights"])
async def night(request: Request) -> Nights:
    """The live night of each variant: the gates it passed, and how good its model was measured to be."""
    service = service_of(request)
    service.night(None)
    live = service.store.live()
    return Nights(variant=service.variant, nights=[await in_thread(_told, live[variant]) for variant in sorted(live)])


@router.get("/users", tags=["lists"])
async def users(request: Request, q: Start = "", n: HowMany = 10, variant: Variant = None) -> Users:
    """Users who have a list and whose id begins with `q`, in order of their ids; without `q` the first of all."""
    return Users(user_ids=await in_thread(service_of(request).night(variant).users, q, n))


@router.get("/map", tags=["items"], response_model=Map)
async def plane(request: Request, variant: Variant = None) -> Response:
    """The items of most users, 5,000 at most, on the plane in which the vectors of the night's model differ most."""
    text = await in_thread(service_of(request).night(variant).sheet, MAP)
    if text is None:
        raise HTTPException(404, "this night has no map: its model keeps no vector an item, or it was published before")
    return Response(text, media_type=_JSON)


def _told(night: Night) -> LiveNight:
    text, about = night.sheet(HEALTH), night.about
    return LiveNight(
        variant=about.variant,
        name=about.name,
        as_of_date=about.as_of_date,
        model_version=about.model_version,
        users=about.users,
        health=None if text is None else Health.model_validate_json(text),
    )
