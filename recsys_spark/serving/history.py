"""What the store keeps of a user beside the list, as text: what they had last, and what a live model is to know of them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark.models.forward import Side
from recsys_spark.models.selection import Ints

_EPOCH: Final = date(1970, 1, 1)


def _none() -> Ints:
    return np.empty(0, np.int32)


@dataclass(frozen=True)
class History:
    """One user. Items are indices.

    Args:
        items: (k,) the latest, oldest first, and `days` (k,) when, in days since 1970 (UTC).
        seen: all that the user ever had; `blocked`: what they may never have; `rules`: a bit a rule that is about them.
        side: the user's encoded features, where the live model takes them.
        context: (W,) that lists were made in, likewise.
    """

    items: Ints = field(default_factory=_none)
    days: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    seen: Ints = field(default_factory=_none)
    blocked: Ints = field(default_factory=_none)
    rules: int = 0
    side: Side | None = None
    context: Ints | None = None

    def newest_first(self, n: int) -> list[tuple[int, date]]:
        """The latest `n` items, each with its day."""
        latest = zip(self.items[::-1][:n].tolist(), self.days[::-1][:n].tolist(), strict=True)
        return [(item, _EPOCH + timedelta(days=day)) for item, day in latest]


def history_of(text: str) -> History:
    """A history as it is kept: JSON, in which what a user has nothing of may be missing.

    >>> history_of('{"items":[4,2],"days":[0,31]}').newest_first(1)
    [(2, datetime.date(1970, 2, 1))]
    """
    kept: dict[str, Any] = json.loads(text)
    codes, numbers, context = kept.get("codes"), kept.get("numbers"), kept.get("context")
    there = codes is not None or numbers is not None
    side = Side(_indices(codes), np.array([float(one) for one in numbers or ()], np.float32)) if there else None
    return History(
        _indices(kept.get("items")),
        np.array(kept.get("days") or (), np.int64),
        _indices(kept.get("seen")),
        _indices(kept.get("blocked")),
        int(kept.get("rules") or 0),
        side,
        None if context is None else np.frombuffer(base64.b64decode(context), "<i4"),
    )


def _indices(values: Any) -> Ints:
    return np.array(values or (), np.int32)
