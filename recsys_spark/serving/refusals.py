"""Answers to requests that do not hold, in one form: `detail`, which says what is wrong."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from recsys_spark.serving.live import UnknownContextError


async def invalid(request: Request, error: Exception) -> Response:
    """422 for a value that is missing, too long or out of bounds. What was sent is not sent back."""
    assert isinstance(error, RequestValidationError)
    return _refused([{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()], 422)


async def unknown_context(request: Request, error: Exception) -> Response:
    """422 likewise: the model takes no such context."""
    assert isinstance(error, UnknownContextError)
    where = "query" if request.method == "GET" else "body"
    wrong = [{"type": "unknown_context", "loc": [where, "context", name], "msg": str(error)} for name in error.names]
    return _refused(wrong, 422)


async def no_live_model(request: Request, error: Exception) -> Response:
    """409: nothing that asking again would mend."""
    return _refused(str(error), 409)


def _refused(detail: Any, status: int) -> Response:
    # in ASCII: JSON may bring half a surrogate pair, which is no text in UTF-8
    return Response(json.dumps({"detail": detail}), status, media_type="application/json")
