"""Answers to requests that do not hold, in one form: `detail`, which says what is wrong."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError


async def invalid(request: Request, error: Exception) -> Response:
    """422 for a value that is missing, too long or out of bounds. What was sent is not sent back."""
    assert isinstance(error, RequestValidationError)
    return _refused([{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()], 422)


def _refused(detail: Any, status: int) -> Response:
    # in ASCII: JSON may bring half a surrogate pair, which is no text in UTF-8
    return Response(json.dumps({"detail": detail}), status, media_type="application/json")
