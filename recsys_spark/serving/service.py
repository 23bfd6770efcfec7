"""What every request may ask for: the store, the settings, the keys, the figures; and the night it is answered from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ParamSpec, TypeVar

import anyio.to_thread
from fastapi import Depends, HTTPException, Query, Request

from recsys_spark.serve_settings import Serve
from recsys_spark.serving.keys import Keys
from recsys_spark.serving.metrics import Metrics
from recsys_spark.serving.store import Night, Store

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Service:
    """One service. `variant` is that of requests which name none; `leaving`: it has been told to stop."""

    store: Store
    settings: Serve
    variant: str
    keys: Keys
    metrics: Metrics
    leaving: bool = False

    def night(self, variant: str | None) -> Night:
        """The night that a request is answered from, all of it.

        Raises:
            HTTPException: 404 where the variant is not published, 503 where nothing is.
        """
        live = self.store.live()
        night = live.get(variant or self.variant)
        if night is None and not live:
            raise HTTPException(
                503, "nothing is published yet: run jobs/pipeline.py, or jobs/publish.py", {"Retry-After": "30"}
            )
        if night is None:
            raise HTTPException(404, f"no such variant is published, but: {', '.join(sorted(live))}")
        return night


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    service: Service = request.app.state.service
    return service


async def _live_night(
    request: Request,
    variant: Annotated[
        str | None, Query(description="whose lists; by default those that recommend.variant names")
    ] = None,
) -> Night:
    return service_of(request).night(variant)


Live = Annotated[Night, Depends(_live_night)]


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What reads the store, beside the loop that answers; a request that is given up does not wait for it."""
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs), abandon_on_cancel=True)
