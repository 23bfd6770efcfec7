"""The service put together: routes, layers around them, and the look-out for a new night."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from recsys_spark import __version__, log
from recsys_spark.serve_settings import Serve
from recsys_spark.serving import health, night_routes, page, routes
from recsys_spark.serving.authorisation import Authorisation, describe
from recsys_spark.serving.event_files import EventFiles
from recsys_spark.serving.feedback_routes import router as feedback
from recsys_spark.serving.journal import Journal
from recsys_spark.serving.keys import Keys
from recsys_spark.serving.limits import Limits
from recsys_spark.serving.live import NoLiveModelError, UnknownContextError
from recsys_spark.serving.live_refusals import no_live_model, unknown_context
from recsys_spark.serving.live_routes import router as live
from recsys_spark.serving.metrics import Metrics
from recsys_spark.serving.plain_lists import PlainLists
from recsys_spark.serving.refusals import invalid
from recsys_spark.serving.service import Service
from recsys_spark.serving.store import Store, StoreUnavailableError
from recsys_spark.serving.watching import REQUEST_ID, Watching


def create_app(store: Store, settings: Serve, variant: str) -> FastAPI:
    """The service over a store.

    Args:
        variant: that of requests which name none.

    Raises:
        UserError: `serve.keys_file` cannot be read, or `serve.events_dir` not be written to.
    """
    keys = Keys(settings.keys_file, settings.requests_per_second, settings.burst)
    metrics = Metrics()
    service = Service(store, settings, variant, keys, metrics, _journal(settings, metrics))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await _look(service)
        if not store.live():
            log.say("serve", "nothing is published yet: lists come once jobs/publish.py has run", "warning")
        looking = asyncio.create_task(_keep_looking(service))
        if service.journal:
            service.journal.start()
        yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        if service.journal:
            await asyncio.to_thread(service.journal.close)
        store.close()

    app = FastAPI(
        title="recsys_spark",
        version=__version__,
        description="The lists of last night, one user at a time.",
        lifespan=lifespan,
        docs_url=None,  # their pages load code from other hosts
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(live)  # its paths end in words that an id might, too
    app.include_router(routes.router)
    app.include_router(night_routes.router)
    app.include_router(page.router)
    app.include_router(health.router)
    app.include_router(feedback)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(StoreUnavailableError, _unavailable)
    app.add_exception_handler(NoLiveModelError, no_live_model)
    app.add_exception_handler(UnknownContextError, unknown_context)
    usual = next(route for route in routes.router.routes if getattr(route, "name", "") == routes.LIST)
    app.add_middleware(PlainLists, service=service, route=usual)
    app.add_middleware(Limits, settings=settings, metrics=service.metrics)
    if keys.wanted:
        app.add_middleware(Authorisation, keys=keys)
        describe(app)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", REQUEST_ID],
        )
    app.add_middleware(Watching, metrics=service.metrics)  # the last one added is the outermost
    return app


def _journal(settings: Serve, metrics: Metrics) -> Journal | None:
    if not settings.events_dir:
        return None
    files = EventFiles(settings.events_dir, settings.events_file_bytes, settings.events_file_seconds)
    return Journal(files, metrics)


async def _keep_looking(service: Service) -> None:
    while True:
        await asyncio.sleep(service.settings.look_seconds)
        await _look(service)


async def _look(service: Service) -> None:
    """Look for a new night and new keys; what cannot be read is said, and the old ones go on."""
    try:
        if await asyncio.to_thread(service.store.refresh):
            for variant, night in service.store.live().items():
                by = f", on the spot by {night.model.model_version}" if night.model else ""
                log.say("serve", f"live: {night.about.name} of variant {variant}, {night.about.users:,} lists{by}")
        service.keys.refresh()
    except Exception as error:  # whatever a disk, a network or a database raises
        service.metrics.store_errors.inc()
        log.say("serve", f"cannot be read: {type(error).__name__}: {error}", "warning")


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    request.app.state.service.metrics.store_errors.inc()
    return JSONResponse({"detail": "the store does not answer: ask again"}, 503, {"Retry-After": "1"})
