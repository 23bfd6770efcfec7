"""What is measured: each figure's meaning, the scale on which it is about normal, and the sides on which it is bounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

Scale = Literal["count", "share", "divergence", "plain"]
Sides = Literal["low", "high", "both"]

_Map = Callable[[float, int], float]
_MOST: Final = 50.0  # of a logarithm: beyond it there is no bound in truth

# Each pair is monotone; on the second's scale the spread hangs little on the level: the logarithm for what grows by factors,
# the arcsine for shares (Anscombe, 1948), for divergences the logarithm from about where chance alone leaves them, one over the
# number of events.
_SCALES: Final[Mapping[Scale, tuple[_Map, _Map]]] = {
    "count": (lambda value, n: float(np.log1p(value)), lambda at, n: float(np.expm1(np.clip(at, 0.0, _MOST)))),
    "share": (
        lambda value, n: float(np.arcsin(np.sqrt(np.clip(value, 0.0, 1.0)))),
        lambda at, n: float(np.sin(np.clip(at, 0.0, np.pi / 2)) ** 2),
    ),
    "divergence": (
        lambda value, n: float(np.log1p(n * max(value, 0.0))),
        lambda at, n: float(np.expm1(np.clip(at, 0.0, _MOST)) / n),
    ),
    "plain": (lambda value, n: value, lambda at, n: at),
}


@dataclass(frozen=True)
class Measure:
    """A figure: the part of the page that it stands in, what it means, its scale and the sides that count."""

    of: str
    meaning: str
    scale: Scale
    sides: Sides

    def to_scale(self, value: float, n: int) -> float:
        """A value where it is about normal, for a figure that is taken over n."""
        return _SCALES[self.scale][0](value, max(n, 1))

    def from_scale(self, at: float, n: int) -> float:
        return _SCALES[self.scale][1](at, max(n, 1))

    def chance(self, n: int, expected: float) -> float:
        """The least spread on the scale: Poisson's of a count that is expected, the binomial's of a share of n."""
        if self.scale == "count":
            return 1.0 / math.sqrt(max(expected, 1.0))
        return 0.5 / math.sqrt(max(n, 1)) if self.scale == "share" else 0.0

    def unit(self, n: int) -> float:
        """The least step that the figure can take: no bound is narrower, however still its history was."""
        return 1.0 / max(n, 1) if self.scale in ("share", "divergence") else 1.0


class Figure(NamedTuple):
    """One figure of one day: of which measure, of what part, and over how many it is taken."""

    metric: str
    part: str
    value: float
    n: int


ONLINE: Final = "What people did with the lists"
LISTS: Final = "The lists"
EVENTS: Final = "Events"
DRIFT: Final = "Drift"

MEASURES: Final[Mapping[str, Measure]] = {
    "hit_rate": Measure(
        ONLINE, "share of the users who acted and had a list, with an item of theirs among its first k", "share", "low"
    ),
    "ndcg": Measure(
        ONLINE, "mean NDCG at k of these users' lists, any item they acted on being relevant", "share", "low"
    ),
    "users_with_list": Measure(ONLINE, "share of the users who acted that had a list", "share", "low"),
    "on_list_share": Measure(
        ONLINE, "feedback loop: share of these users' events that were on an item of their list", "share", "both"
    ),
    "list_age_days": Measure(LISTS, "days from the date of the live lists to the day", "plain", "high"),
    "model_age_days": Measure(LISTS, "days from the date of the live lists' model to the day", "plain", "high"),
    "coverage": Measure(LISTS, "share of the active catalogue that stands in some list", "share", "both"),
    "stale_items": Measure(LISTS, "share of the listed items that nobody had of late", "share", "high"),
    "lists_gini": Measure(LISTS, "Gini index of the lists' places over the active catalogue", "share", "both"),
    "lists_head_share": Measure(
        LISTS, "share of the lists' places that the head of the catalogue has", "share", "both"
    ),
    "events_head_share": Measure(EVENTS, "share of the day's events that the same head has", "share", "both"),
    "events_gini": Measure(EVENTS, "Gini index of late events over the active catalogue", "share", "both"),
    "events": Measure(EVENTS, "events of the day", "count", "both"),
    "users": Measure(EVENTS, "users who acted", "count", "both"),
    "latency_hours": Measure(EVENTS, "hours from the newest event to the end of the day", "plain", "high"),
    "feature_psi": Measure(
        DRIFT, "population stability index of the day's events against the reference", "divergence", "high"
    ),
    "feature_js": Measure(DRIFT, "Jensen-Shannon divergence of the same, in bits", "divergence", "high"),
    "score_psi": Measure(
        DRIFT, "population stability index of the lists' scores against earlier ones", "divergence", "high"
    ),
    "score_js": Measure(DRIFT, "Jensen-Shannon divergence of the same, in bits", "divergence", "high"),
}
