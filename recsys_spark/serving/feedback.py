"""What a shop tells of: who was shown what, and what came of it; and the lines that `jobs/ingest.py` reads."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from recsys_spark.serving.answers import LONGEST_ID

MOST_EVENTS: Final = 1000
_AHEAD: Final = timedelta(seconds=10)  # by so much clocks may differ
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS: Final = 32
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))  # plain ASCII: no line ends within a line


def _text(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("expected a time as text, with its zone: 2024-05-06T12:00:00Z")
    return value


Spoken = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$")]
Time = Annotated[AwareDatetime, BeforeValidator(_text)]


class Event(BaseModel):
    """Something that a user saw or did. What is not said is null."""

    event_type: Name = Field(description="one of serve.event_types: impression, click, ...")
    user_id: Spoken
    item_id: Spoken
    event_time: Time | None = Field(None, description="when it was; by default now. Not in the future")
    event_value: float | None = Field(None, allow_inf_nan=False, description="price, rating, ...")
    position: int | None = Field(None, ge=1, le=1_000_000, description="the place that the item was shown at, from 1")
    variant: Name | None = Field(None, description="whose list it was, as in the answer")
    experiment: Name | None = Field(None, description="with variant: an impression of the experiment's is an exposure")
    key: Spoken | None = Field(
        None,
        description="your name of this event, with event_time: sent again with the same content, it counts once",
    )

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "event_type": "impression",
                "user_id": "128",
                "item_id": "1082185",
                "event_time": "2024-05-06T12:00:00Z",
                "position": 1,
                "variant": "default",
                "key": "page-7f3a-1",
            }
        },
    )

    @model_validator(mode="after")
    def _is_the_same_when_sent_again(self) -> Event:
        if self.key is not None and self.event_time is None:
            raise ValueError("an event with a key needs an event_time: sent again, it is to have the same content")
        return self


class EventsTold(BaseModel):
    """Events, all of which are kept, or none."""

    events: list[Event] = Field(min_length=1, max_length=MOST_EVENTS)

    model_config = ConfigDict(extra="forbid")


class EventsKept(BaseModel):
    """They are on disk; the next `jobs/ingest.py` has them."""

    count: int
    event_ids: list[str] = Field(description="of each, in order; of the same key the same")


def repeatable(events: Sequence[Event]) -> EventsTold:
    """The same, each with a time and a key: sent twice, they count once."""
    now = datetime.now(UTC)
    given = [{"event_time": now, "key": uuid.uuid4().hex, **event.model_dump(exclude_none=True)} for event in events]
    return EventsTold.model_validate({"events": given})


class Fault(NamedTuple):
    """Why an event cannot be kept: its place from 0, the field, the words."""

    place: int
    field: str
    why: str


def faults(events: Sequence[Event], types: Sequence[str], now: datetime) -> Iterator[Fault]:
    """What a schema cannot tell: types are configured, and time goes on."""
    for place, event in enumerate(events):
        if event.event_type not in types:
            yield Fault(place, "event_type", f"none of serve.event_types: {', '.join(types)}")
        if event.event_time is not None and not _EARLIEST <= event.event_time <= now + _AHEAD:
            yield Fault(place, "event_time", "in the future, or before 1970")


def identified(events: Sequence[Event], teller: str) -> list[str]:
    """An id for each: of one with a key, always the same; two tellers' keys have nothing to do with each other."""
    return [uuid.uuid4().hex if event.key is None else _id_of_key(teller, event.key) for event in events]


def lines(events: Sequence[Event], event_ids: Sequence[str], now: datetime) -> bytes:
    """A JSON object a line, each with every field, times in microseconds since 1970: as `conf/feedback.yaml` reads them."""
    return b"".join(_line(event, event_id, now) for event, event_id in zip(events, event_ids, strict=True))


def _line(event: Event, event_id: str, now: datetime) -> bytes:
    fields = event.model_dump(exclude={"key"})
    fields["event_time"] = ((event.event_time or now) - _EARLIEST) // timedelta(microseconds=1)
    return _ENCODER.encode({"event_id": event_id, **fields}).encode() + b"\n"


def _id_of_key(teller: str, key: str) -> str:
    return hashlib.sha256(json.dumps([teller, key]).encode()).hexdigest()[:_DIGITS]
