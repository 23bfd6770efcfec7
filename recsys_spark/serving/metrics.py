"""What the service counts of itself, for Prometheus. No label has a user or an item: their number is bounded by the routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from recsys_spark.serving.store import Night

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Listed(Protocol):
    """A list that was answered; `fallback`: it is what is popular."""

    @property
    def fallback(self) -> bool: ...


class Metrics:
    """One service's figures, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "recsys_requests", "requests that were answered", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "recsys_request_seconds",
            "from the first byte asked to the last answered",
            ["route"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.at_work = Gauge("recsys_requests_at_work", "requests that are worked on now", registry=registry)
        self.refused = Counter(
            "recsys_refused",
            "requests that were not worked on, by why: busy, late or too_large",
            ["why"],
            registry=registry,
        )
        lists = Counter(
            "recsys_lists", "lists answered, by whether they were the fallback", ["fallback"], registry=registry
        )
        self._by_fallback = {fallback: lists.labels(str(fallback).lower()) for fallback in (False, True)}
        self.store_errors = Counter("recsys_store_errors", "times that the store could not be read", registry=registry)
        self.events = Counter("recsys_events", "events that were kept, by type", ["event_type"], registry=registry)
        self.event_writes = Histogram(
            "recsys_event_write_seconds",
            "to get events of one request or several on disk, with one fsync",
            registry=registry,
            buckets=_SECONDS,
        )
        self.event_failures = Counter(
            "recsys_event_failures",
            "times that events could not be written, or a file not be closed",
            registry=registry,
        )
        self.event_torn = Counter(
            "recsys_event_torn", "last lines cut off that a killed process had not ended", registry=registry
        )
        self._live = Gauge("recsys_live_lists", "lists of the live night", ["variant"], registry=registry)
        self._as_of = Gauge(
            "recsys_live_as_of_seconds", "the day of the live lists, since 1970", ["variant"], registry=registry
        )

    def count_lists(self, lists: Iterable[Listed]) -> None:
        """Lists are answered."""
        for one in lists:
            self._by_fallback[one.fallback].inc()

    def text(self, live: Mapping[str, Night]) -> bytes:
        """All figures in Prometheus' text format, those of the live nights as they are now."""
        self._live.clear()
        self._as_of.clear()
        for variant, night in live.items():
            day = datetime.combine(night.about.as_of_date, time(), UTC)
            self._live.labels(variant).set(night.about.users)
            self._as_of.labels(variant).set(day.timestamp())
        return generate_latest(self._registry)
