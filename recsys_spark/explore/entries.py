"""The figures behind the pictures: rows of table `exploration`, and ways to look them up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

OTHERS: Final = "(others)"
ALL: Final = "(all)"
UNKNOWN: Final = "(not known)"
QUANTILES: Final = {"p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
SUMMARY: Final = "summary"  # the series of the figures that a whole picture has

Statistics: TypeAlias = "dict[str, float]"


class Entry(NamedTuple):
    """One figure, as a row of `exploration` has it."""

    picture: str
    series: str
    label: str
    statistic: str
    value: float


def entries(picture: str, series: str, rows: Mapping[str, Mapping[str, float | None]]) -> list[Entry]:
    """The entries of one series: figures by statistic, by label; what is not known is left out."""
    return [
        Entry(picture, series, label, statistic, float(value))
        for label, statistics in rows.items()
        for statistic, value in statistics.items()
        if value is not None
    ]


class Entries:
    """Entries by picture, series and label, in the order given."""

    def __init__(self, found: Iterable[Entry]) -> None:
        self._found: dict[str, dict[str, dict[str, Statistics]]] = {}
        for picture, series, label, statistic, value in found:
            self._found.setdefault(picture, {}).setdefault(series, {}).setdefault(label, {})[statistic] = value

    def series(self, picture: str) -> list[str]:
        """The series of a picture."""
        return list(self._found.get(picture, {}))

    def rows(self, picture: str, series: str = "") -> dict[str, Statistics]:
        """Figures by statistic, by label; empty where there is no such picture."""
        return self._found.get(picture, {}).get(series, {})

    def figure(self, picture: str, label: str, statistic: str, series: str = "") -> float | None:
        """One figure, None where it is not there."""
        return self.rows(picture, series).get(label, {}).get(statistic)
