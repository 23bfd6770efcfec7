"""What those ask who run the service: whether it lives, whether it can answer, and its figures. No key is needed."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response

from recsys_spark.serving.service import service_of

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """200 as long as the process answers at all."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"description": "nothing is published, or the service has been told to stop"}})
async def readyz(request: Request) -> dict[str, dict[str, str]]:
    """200 where lists can be answered, with the live night of each variant."""
    service = service_of(request)
    if service.leaving:
        raise HTTPException(503, "told to stop")
    service.night(None)
    return {"live": {variant: night.about.name for variant, night in service.store.live().items()}}


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """In Prometheus' text format."""
    service = service_of(request)
    return Response(service.metrics.text(service.store.live()), media_type="text/plain; version=0.0.4; charset=utf-8")
