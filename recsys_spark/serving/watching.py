"""What is noted of every request: an id, a line in the log, the figures. Never who asked about whom.

The route stands in the log as it is declared, `/v1/users/{user_id}/recommendations`, and not as it was called.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Any, Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys_spark import log
from recsys_spark.serving.metrics import Metrics

REQUEST_ID: Final = "X-Request-ID"
_GIVEN: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_NO_ROUTE: Final = "(none)"
_HEADERS: Final = [  # of every answer that says nothing else, as the page does
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


class Watching:
    """The outermost layer: also what fails or is refused below has an id, headers and a line."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, request_id, status = time.perf_counter(), _request_id(scope), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message.get("headers", ())
                names = {name for name, _ in given}
                own = [(name, value) for name, value in _HEADERS if name not in names]
                message = {**message, "headers": [*given, (REQUEST_ID.lower().encode(), request_id.encode()), *own]}
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # whatever the code raises: its words may name a user, so they are not logged
            log.say("serve", f"failed: {_where(error)}", "error", request_id=request_id)
            if status:
                raise
            await JSONResponse({"detail": f"failed; request {request_id}"}, 500)(scope, receive, sending)
        finally:
            self._note(scope, request_id, status or 499, time.perf_counter() - started)  # 499: who asked is gone

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _NO_ROUTE)
        self._metrics.requests.labels(route, scope["method"] if route != _NO_ROUTE else "", status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        milliseconds = round(1000.0 * seconds, 2)
        log.say(
            "serve",
            f"{scope['method'][:10]} {route} {status} {milliseconds} ms {request_id}",
            request_id=request_id,
            route=route,
            status=status,
            milliseconds=milliseconds,
            key=scope.get("state", {}).get("key_name"),
        )


def _request_id(scope: Scope) -> str:
    """The one that came along, if it is one, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _GIVEN.fullmatch(given) else secrets.token_hex(16)


def _where(error: BaseException) -> str:
    """The type of an error and the lines it came through, without what it says."""
    places: list[str] = []
    step: Any = error.__traceback__
    while step is not None:
        places.append(f"{step.tb_frame.f_globals.get('__name__', '?')}:{step.tb_lineno}")
        step = step.tb_next
    return " < ".join([type(error).__name__, *reversed(places[-6:])])
