"""How unevenly events fall on items and users: Lorenz curve, Gini index, lengths of histories."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from recsys_spark.explore.entries import QUANTILES, SUMMARY, Entry, Statistics, entries
from recsys_spark.explore.groups import Frequencies

_SHARES: Final = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def tail(found: Frequencies, series: str) -> list[Entry]:
    """The share of the events that fall on each share of the items (or users), the most popular first, and the Gini index."""
    curve = {f"{share:g}": {"share": share_of_top(found, share)} for share in _SHARES}
    once = int(found.times[found.counts == 1].sum())
    one: Statistics = {"gini": gini(found), "n": float(found.times.sum()), "with_one_event": float(once)}
    return [*entries("tail", series, curve), *entries("tail", SUMMARY, {series: one})]


def lengths(found: Frequencies) -> list[Entry]:
    """How many users have a history of each length, in classes that double, and quantiles of the lengths."""
    classes: dict[str, Statistics] = {}
    for low in 2 ** np.arange(int(found.counts.min()).bit_length() - 1, int(found.counts.max()).bit_length()):
        within = (found.counts >= low) & (found.counts < 2 * low)
        label = "1" if low == 1 else f"{low}-{2 * low - 1}"
        events = float((found.counts * found.times)[within].sum())
        classes[label] = {"users": float(found.times[within].sum()), "events": events}
    mean = float((found.counts * found.times).sum() / found.times.sum())
    summary: Statistics = {**quantiles(found), "mean": mean, "max": float(found.counts.max())}
    return [*entries("lengths", "", classes), *entries("lengths", SUMMARY, {"users": summary})]


def quantiles(found: Frequencies) -> Statistics:
    """The least count that is reached by at least each share of them."""
    reached = np.cumsum(found.times) / found.times.sum()
    return {name: float(found.counts[np.searchsorted(reached, at - 1e-12)]) for name, at in QUANTILES.items()}


def gini(found: Frequencies) -> float:
    """The Gini index of the counts: 0, all have the same; near 1, one has all.

    >>> gini(Frequencies(np.array([1]), np.array([5]))), gini(Frequencies(np.array([1, 9]), np.array([1, 1])))
    (0.0, 0.4)
    """
    amounts = (found.counts * found.times).astype(float)
    until = np.cumsum(amounts)
    area = float(((until + until - amounts) * found.times).sum()) / 2
    return 1.0 - 2.0 * area / (float(found.times.sum()) * float(until[-1]))


def share_of_top(found: Frequencies, share: float) -> float:
    """The share of the events that the given share of the items has, the most popular; part of an item counts as a part."""
    times, amounts = found.times[::-1], (found.counts * found.times)[::-1]
    return float(np.interp(share * times.sum(), _from_zero(times), _from_zero(amounts)) / amounts.sum())


def _from_zero(steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(steps)])
