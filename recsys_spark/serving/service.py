"""What every request may ask for: the store, the settings, the keys, the figures; and the night it is answered from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread
from fastapi import HTTPException, Request

from recsys_spark.serve_settings import Serve
from recsys_spark.serving.journal import Journal
from recsys_spark.serving.keys import Keys
from recsys_spark.serving.metrics import Metrics
from recsys_spark.serving.store import Night, Store

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Service:
    """One service. `variant` is that of requests which name none; `journal`: where events are kept, if they are;
    `leaving`: it has been told to stop."""

    store: Store
    settings: Serve
    variant: str
    keys: Keys
    metrics: Metrics
    journal: Journal | None = None
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


async def asked(night: Night, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a night answers: in a thread, which a request that is given up does not wait for, unless that would take longer."""
    if night.quick:
        return function(*args, **kwargs)
    return await in_thread(function, *args, **kwargs)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What may take a while, beside the loop that answers the others."""
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs), abandon_on_cancel=True)
