"""Requests without a key of ours are refused before anything of theirs is read, and those of a key that asks too often."""

from __future__ import annotations

import math
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys_spark.serving.keys import Keys

_GUARDED: Final = "/v1/"
_SCHEME: Final = {"type": "http", "scheme": "bearer", "description": "a key that `recsys-serve --new-key NAME` printed"}


class Authorisation:
    """401 without a key of ours in `Authorization: Bearer KEY`, 429 with Retry-After where it asks too often."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" and scope["path"].startswith(_GUARDED) else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        name = self._keys.name_of(_key(scope))
        if name is None:
            words = "a key is needed: Authorization: Bearer KEY"
            return JSONResponse({"detail": words}, 401, {"WWW-Authenticate": "Bearer"})
        scope.setdefault("state", {})["key_name"] = name
        seconds = self._keys.wait(name)
        if seconds:
            return JSONResponse({"detail": "this key asks too often"}, 429, {"Retry-After": str(math.ceil(seconds))})
        return None


def describe(app: FastAPI) -> None:
    """Say in the description of the service which requests need a key."""
    plain = app.openapi

    def with_keys() -> dict[str, Any]:
        schema = plain()
        schema.setdefault("components", {})["securitySchemes"] = {"key": _SCHEME}
        for path, operations in schema["paths"].items():
            for operation in operations.values() if path.startswith(_GUARDED) else ():
                operation["security"] = [{"key": []}]
        return schema

    app.openapi = with_keys  # type: ignore[method-assign]


def _key(scope: Scope) -> str:
    """What follows `Bearer`, or nothing."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, key = given.decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
