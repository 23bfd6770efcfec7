"""The loop closes here: what was shown and what came of it, kept for the next night."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.exceptions import RequestValidationError

from recsys_spark.serving.answers import Problem
from recsys_spark.serving.feedback import EventsKept, EventsTold, faults, identified, lines
from recsys_spark.serving.journal import NotKeptError
from recsys_spark.serving.service import service_of

_SHOWN: Final = 5  # faults of one request
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "no key of ours, where one is needed"},
    404: {"model": Problem, "description": "no events are kept here: serve.events_dir is not set"},
    429: {"model": Problem, "description": "this key asks too often: see Retry-After"},
    503: {"model": Problem, "description": "they are not kept, or too much is asked at once: see Retry-After"},
    507: {"model": Problem, "description": "they are not kept, as the disk is full: see Retry-After"},
}

router = APIRouter(prefix="/v1", responses=_PROBLEMS)


@router.post("/events", status_code=202, tags=["feedback"])
async def events(request: Request, body: EventsTold) -> EventsKept:
    """Keep events for the next ingest: all of them, or none. With 202 they are on disk."""
    service = service_of(request)
    if service.journal is None:
        raise HTTPException(404, "no events are kept here: serve.events_dir is not set")
    now = datetime.now(UTC)
    if found := list(islice(faults(body.events, service.settings.event_types, now), _SHOWN)):
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("body", "events", at, field), "msg": why} for at, field, why in found]
        )
    event_ids = identified(body.events, request.scope.get("state", {}).get("key_name", ""))
    try:
        await service.journal.keep(lines(body.events, event_ids, now))
    except NotKeptError as error:
        status, seconds = (507, "60") if error.full else (503, "1")
        raise HTTPException(status, f"not kept: {error}", {"Retry-After": seconds}) from None
    for event in body.events:
        service.metrics.events.labels(event.event_type).inc()
    return EventsKept(count=len(event_ids), event_ids=event_ids)
