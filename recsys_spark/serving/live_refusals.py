"""Answers to what the live night cannot do, in the form of all refusals: see `refusals`."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from recsys_spark.serving.live import UnknownContextError
from recsys_spark.serving.refusals import invalid


async def unknown_context(request: Request, error: Exception) -> Response:
    """422, as for every value that does not hold: the model takes no such context."""
    assert isinstance(error, UnknownContextError)
    where = "query" if request.method == "GET" else "body"
    wrong = [{"type": "unknown_context", "loc": [where, "context", name], "msg": str(error)} for name in error.names]
    return await invalid(request, RequestValidationError(wrong))


async def no_live_model(request: Request, error: Exception) -> Response:
    """409: nothing that asking again would mend."""
    return JSONResponse({"detail": str(error)}, 409)
