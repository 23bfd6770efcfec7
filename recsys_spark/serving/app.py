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
from recsys_spark.serving import health, routes
from recsys_spark.serving.authorisation import Authorisation, describe
from recsys_spark.serving.keys import Keys
from recsys_spark.serving.limits import Limits
from recsys_spark.serving.live import NoLiveModelError, UnknownContextError
from recsys_spark.serving.live_refusals import no_live_model, unknown_context
from recsys_spark.serving.live_routes import router as live
from recsys_spark.serving.metrics import Metrics
from recsys_spark.serving.refusals import invalid
from recsys_spark.serving.service import Service
from recsys_spark.serving.store import Store, StoreUnavailableError
from recsys_spark.serving.watching import REQUEST_ID, Watching


def create_app(store: Store, settings: Serve, variant: str) -> FastAPI:
    """The service over a store.

    Args:
        variant: that of requests which name none.

    Raises:
        UserError: `serve.keys_file` cannot be read.
    """
    keys = Keys(settings.keys_file, settings.requests_per_second, settings.burst)
    service = Service(store, settings, variant, keys, Metrics())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await _look(service)
        if not store.live():
            log.say("serve", "nothing is published yet: lists come once jobs/publish.py has run", "warning")
        looking = asyncio.create_task(_keep_looking(service))
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
        docs_url=None,  # their pages load code from other hosts
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(live)  # its paths end in words that an id might, too
    app.include_router(routes.router)
    app.include_router(health.router)
    app.add_exception_handler(StoreUnavailableError, _unavailable)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(NoLiveModelError, no_live_model)
    app.add_exception_handler(UnknownContextError, unknown_context)
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
