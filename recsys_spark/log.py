"""What a job says while it runs: lines of text for people, or one JSON object a line for machines.

One form holds for the whole process, and for those that inherit its environment: Horovod's ranks say theirs likewise.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

FORMS: Final = ("text", "json")
VARIABLE: Final = "RECSYS_LOG"
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=str)  # made once: the service says a line a request


def use(form: str) -> None:
    """Say everything from here on in one of `FORMS`."""
    os.environ[VARIABLE] = form


def in_json() -> bool:
    """Whether lines are JSON objects."""
    return os.environ.get(VARIABLE) == "json"


def say(stage: str, message: str, level: str = "info", **fields: Any) -> None:
    """One line, at once: on stdout, but as text on stderr where it is no mere information.

    Args:
        level: info, warning or error.
        fields: what a machine may want beside the message; text leaves them out.
    """
    if in_json():
        print(json_line(stage, message, level, datetime.now(UTC), **fields), flush=True)
    else:
        print(f"[{stage}] {message}", file=sys.stdout if level == "info" else sys.stderr, flush=True)


def json_line(stage: str, message: str, level: str, time: datetime, **fields: Any) -> str:
    """`{"time": ..., "level": ..., "stage": ..., fields, "message": ...}` on one line; dates as ISO 8601, null for none."""
    said = {"time": time.isoformat(timespec="milliseconds"), "level": level, "stage": stage, **fields}
    return _ENCODER.encode(said | {"message": message})
