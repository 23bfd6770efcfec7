"""The context of a request, as a live model takes it: by source, as `recommend.context` has it; encoded as lists are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from recsys_spark.features.spec import MISSING, NO_VALUE, UNKNOWN
from recsys_spark.models.selection import Ints

Value = str | int | float
_CATEGORICAL: Final = "categorical"


class LiveContext:
    """What a model knows of contexts.

    Args:
        known: a mapping a feature: `feature` as it was declared, where it lies, and what was learnt of it.
        given: what lists were made in, by source.
    """

    def __init__(self, known: Sequence[Mapping[str, Any]], given: Mapping[str, Value]) -> None:
        self._known, self._given = known, given
        self._slots = sum(one["length"] for one in known if _is_coded(one))
        self._width = sum(one["length"] for one in known)

    @property
    def sources(self) -> list[str]:
        """What a request may say, in the order of declaration."""
        return list(dict.fromkeys(one["feature"]["source"] for one in self._known))

    def packed(self, asked: Mapping[str, Value], of_user: Ints | None) -> Ints | None:
        """The context of a request: the user's own, with what is asked in the place of what lists were made in. (W,)

        None where nothing at all is given. Somebody unknown has what lists were made in, and no recency or frequency.
        """
        if not self._known:
            return None
        if of_user is not None:
            packed, values = of_user.copy(), dict(asked)
        else:
            values = {**self._given, **asked}
            if not values:
                return None
            packed = np.full(self._width, NO_VALUE, np.int32)
        for one in self._known:
            source = one["feature"]["source"]
            if of_user is None or source in values:
                self._set(packed, one, values.get(source))
        return packed

    def _set(self, packed: Ints, one: Mapping[str, Any], value: Value | None) -> None:
        text = "" if value is None else str(value).strip()
        if _is_coded(one):
            packed[one["first"]] = MISSING if not text else one["vocabulary"].get(text, UNKNOWN)
        else:
            packed[self._slots + one["first"]] = np.float32(_standardised(text, one)).view(np.int32)


def _is_coded(one: Mapping[str, Any]) -> bool:
    return bool(one["feature"]["kind"] == _CATEGORICAL)


def _standardised(text: str, one: Mapping[str, Any]) -> float:
    """As `features.numbers` has it, NaN where there is no finite number."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    if one["feature"]["log"]:
        number = math.log1p(number) if number > -1.0 else math.nan
    return float((number - one["mean"]) / (one["std"] or 1.0)) if math.isfinite(number) else math.nan
