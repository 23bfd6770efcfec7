"""What must hold before lists are published: figures held against bounds, each with its verdict in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from recsys_spark.publish_settings import Bounds, GateName

PASSED: Final = "passed"
FAILED: Final = "failed"
NOT_MEASURED: Final = "not_measured"
FORCED: Final = "forced"
WHOLE: Final = "whole"  # no null, no duplicate, no gap: the one gate that nothing forces

MEANING: Final[Mapping[str, str]] = {
    "users_ratio": "users with a list, as a multiple of those in the live lists",
    "rows_ratio": "rows of the lists, as a multiple of those of the live ones",
    "full_lists": "share of the users whose list is full",
    "fallback": "share of the rows that are popularity, for want of anything better",
    "coverage": "share of the known items that stand in some list",
    "overlap": "mean share of a user's list that stood in the live one",
    "lift_ratio": "NDCG over popularity's, as a multiple of the live model's",
    "over_popularity": "NDCG of the model that vouches, as a multiple of popularity's",
    "score_drift": "population stability index of the scores against the live ones",
    "event_age_days": "days from the newest event to the date",
}


@dataclass(frozen=True)
class Checked:
    """A gate, what it measured, and what follows."""

    gate: str
    value: float | None
    low: float | None
    high: float | None
    verdict: str
    reason: str

    @property
    def stops(self) -> bool:
        return self.verdict == FAILED


def judged(figures: Mapping[GateName, float | None], bounds: Mapping[GateName, Bounds]) -> list[Checked]:
    """Every gate, in the order of the configuration; a figure that is None or NaN is not measured, one without bounds passes.

    >>> judged({"coverage": 0.2}, {"coverage": Bounds(low=0.5, high=None)})[0].verdict
    'failed'
    """
    checked = []
    for gate, bound in bounds.items():
        value = figures.get(gate)
        if value is None or math.isnan(value):
            checked.append(Checked(gate, None, bound.low, bound.high, NOT_MEASURED, f"{MEANING[gate]}: not known"))
            continue
        inside = (bound.low is None or value >= bound.low) and (bound.high is None or value <= bound.high)
        words = f"{MEANING[gate]}: {value:.4g}, expected {_words(bound)}"
        checked.append(Checked(gate, value, bound.low, bound.high, PASSED if inside else FAILED, words))
    return checked


def whole(problems: Sequence[str]) -> Checked:
    """The gate of form: N different items ranked 1..N for everyone, nothing null."""
    words = "; ".join(problems) or "every user's list is without gaps, repeats and nulls"
    return Checked(WHOLE, float(len(problems)), None, 0.0, FAILED if problems else PASSED, words)


def forced(checked: Iterable[Checked], reason: str) -> list[Checked]:
    """The same with what failed let through for a reason, but for broken lists."""
    return [
        replace(one, verdict=FORCED, reason=f"{one.reason}; forced: {reason}")
        if one.stops and one.gate != WHOLE
        else one
        for one in checked
    ]


def stability_index(now: Sequence[int], before: Sequence[int]) -> float | None:
    """The population stability index of two histograms over the same bins, sum (p - q) ln(p / q); None where one is empty.

    Each bin has half a count more, so that none is empty (Siddiqi 2006, "Credit Risk Scorecards").

    >>> round(stability_index([10, 10], [10, 10]), 6)
    0.0
    """
    if not sum(now) or not sum(before):
        return None
    shares = [[(count + 0.5) / (sum(counts) + 0.5 * len(counts)) for count in counts] for counts in (now, before)]
    return math.fsum((p - q) * math.log(p / q) for p, q in zip(*shares, strict=True))


def _words(bound: Bounds) -> str:
    if bound.low is not None and bound.high is not None:
        return f"{bound.low:g} to {bound.high:g}"
    if bound.low is None and bound.high is None:
        return "anything"
    return f"at least {bound.low:g}" if bound.low is not None else f"at most {bound.high:g}"
