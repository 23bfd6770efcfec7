"""A request is worked on if there is room, if it is not too large, and for so long: else it is refused at once, in clear words.

Pure ASGI, around the whole application: what is refused costs next to nothing, so that a rush does not pile up.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys_spark.serve_settings import Serve
from recsys_spark.serving.metrics import Metrics

_DIGITS: Final = 18
_FREE: Final = ("/healthz", "/readyz", "/metrics")  # answered however busy it is: whoever asks decides by them


class Limits:
    """503 with Retry-After where `serve.most_at_once` requests are worked on, or one takes more than `serve.seconds`;
    413 where a body is larger than `serve.most_bytes`."""

    def __init__(self, app: ASGIApp, settings: Serve, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._at_work = 0
        metrics.at_work.set_function(lambda: self._at_work)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _FREE:
            await self._app(scope, receive, send)
        elif self._at_work >= self._settings.most_at_once:
            await self._refuse(scope, receive, send, 503, "busy", "too many requests at once: ask again")
        elif _announced(scope) > self._settings.most_bytes:
            await self._refuse(scope, receive, send, 413, "too_large", self._too_large())
        else:
            self._at_work += 1
            try:
                await self._work(scope, receive, send)
            finally:
                self._at_work -= 1

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(self._settings.seconds):
                await self._app(scope, self._counted(receive), sending)
        except TimeoutError:
            if begun:
                raise
            await self._refuse(
                scope, receive, send, 503, "late", f"not done within {self._settings.seconds:g} s: ask again"
            )

    def _counted(self, receive: Receive) -> Receive:
        """The same bytes, as long as they are not too many: a body may come without saying how large it is."""
        left = self._settings.most_bytes

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                self._metrics.refused.labels("too_large").inc()
                raise HTTPException(413, self._too_large(), {"Connection": "close"})
            return message

        return counted

    def _too_large(self) -> str:
        return f"the body is larger than {self._settings.most_bytes:,} bytes"

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, why: str, words: str) -> None:
        self._metrics.refused.labels(why).inc()
        headers = {"Retry-After": "1"} if status == 503 else {"Connection": "close"}
        await JSONResponse({"detail": words}, status, headers)(scope, receive, send)


def _announced(scope: Scope) -> int:
    """The length of the body as the headers say it; 0 where they do not, or say no number."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:_DIGITS])  # of more digits the first are too many already
    return 0
