"""The service: what is asked over HTTP, answered from the live night that the store has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request

from recsys_spark import __version__, log
from recsys_spark.serve_settings import Serve
from recsys_spark.serving.answers import Found, Id, Lists, ListsAsked, Problem, Product, Recommendations
from recsys_spark.serving.lists import lists_for, product
from recsys_spark.serving.store import Night, Store

_TEXT: Final = 200  # the longest text to search for

router = APIRouter(prefix="/v1")
Variant = Annotated[str | None, Query(description="whose lists; by default those that recommend.variant names")]
N = Annotated[int | None, Query(ge=1, description="how many; a published list may be shorter")]
_MISSING: Final[dict[int | str, dict[str, Any]]] = {404: {"model": Problem, "description": "there is no such thing"}}


def create_app(store: Store, settings: Serve, variant: str) -> FastAPI:
    """The service over a store.

    Args:
        variant: that of requests which name none.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store.refresh()
        looking = asyncio.create_task(_look(store, settings.look_seconds))
        yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        store.close()

    app = FastAPI(
        title="recsys_spark",
        version=__version__,
        description="The lists of last night, one user at a time.",
        lifespan=lifespan,
    )
    app.state.store, app.state.settings, app.state.variant = store, settings, variant
    app.include_router(router)
    return app


async def _look(store: Store, seconds: float) -> None:
    """Look for a new night now and again; one that cannot be opened is said, and the old one goes on."""
    while True:
        await asyncio.sleep(seconds)
        try:
            if await asyncio.to_thread(store.refresh):
                for variant, night in store.live().items():
                    log.say("serve", f"live: {night.about.name} of variant {variant}", night=night.about.name)
        except Exception as error:  # whatever a disk, a network or a database raises
            log.say("serve", f"the store cannot be read: {type(error).__name__}: {error}", "warning")


def live_night(request: Request, variant: Variant = None) -> Night:
    """The night that a request is answered from, all of it.

    Raises:
        HTTPException: 404 where the variant is not published, 503 where nothing is.
    """
    return _night(request, variant)


def _night(request: Request, variant: str | None) -> Night:
    live = request.app.state.store.live()
    night: Night | None = live.get(variant or request.app.state.variant)
    if night is None and not live:
        raise HTTPException(
            503, "nothing is published yet: run jobs/pipeline.py, or jobs/publish.py", {"Retry-After": "30"}
        )
    if night is None:
        raise HTTPException(404, f"no such variant is published, but: {', '.join(sorted(live))}")
    return night


Live = Annotated[Night, Depends(live_night)]


@router.get("/users/{user_id:path}/recommendations", tags=["lists"], responses=_MISSING)
def recommendations(
    request: Request,
    night: Live,
    user_id: Annotated[Id, Path(description="any text; /, ? and % are to be escaped")],
    n: N = None,
    exclude: Annotated[list[Id], Query(description="an item to leave out; may be given again")] = [],  # noqa: B006
) -> Recommendations:
    """One user's published list; for whom none is published, what is popular, and `fallback` says so."""
    wanted = _wanted(request.app.state.settings, n, exclude)
    return lists_for(night, [user_id], wanted, exclude)[0]


@router.post("/users/recommendations", tags=["lists"], responses=_MISSING)
def recommendations_of_several(request: Request, asked: ListsAsked) -> Lists:
    """Several users' lists, all of the same night."""
    settings: Serve = request.app.state.settings
    wanted = _wanted(settings, asked.n, asked.exclude)
    _refuse_more("user_ids", len(asked.user_ids), settings.most_users)
    return Lists(lists=lists_for(_night(request, asked.variant), asked.user_ids, wanted, asked.exclude))


@router.get("/items", tags=["items"], responses=_MISSING)
def search(
    request: Request,
    night: Live,
    q: Annotated[str, Query(min_length=1, max_length=_TEXT, description="words, or how they begin")],
    n: N = None,
) -> Found:
    """Items whose title has every word of `q`, or one that begins with it, those that most users had first."""
    found = night.search(q, _wanted(request.app.state.settings, n))
    return Found(items=[product(item) for item in found])


@router.get("/items/{item_id:path}", tags=["items"], responses=_MISSING)
def item(night: Live, item_id: Annotated[Id, Path()]) -> Product:
    """What is known of an item."""
    found = night.items([item_id])
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
