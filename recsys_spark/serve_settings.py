"""The settings of the store that publish fills, and of the service that reads it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from recsys_spark.config_base import NotNegative, NotNegativeNumber, Positive, PositiveNumber, Section

EventType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]


class Store(Section):
    kind: Literal["embedded", "postgres", "none"]
    lists_per_file: Positive
    keep: Positive
    history: NotNegative
    dsn_env: Annotated[str, Field(min_length=1)]
    database_schema: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,40}$")]
    connections: Positive


class Serve(Section):
    look_seconds: PositiveNumber
    keys_file: str
    requests_per_second: PositiveNumber
    burst: Positive
    most_at_once: Positive
    seconds: PositiveNumber
    most_bytes: Positive
    drain_seconds: NotNegativeNumber
    origins: list[str]
    events_dir: str
    event_types: Annotated[list[EventType], Field(min_length=1)]
    events_file_bytes: Positive
    events_file_seconds: PositiveNumber
