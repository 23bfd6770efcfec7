"""What the events of a data set are called on its page, and what every part of it says alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from recsys_spark.explore.entries import OTHERS, SUMMARY, Entries
from recsys_spark.explore.groups import GROUPS
from recsys_spark.pages import Note, Part
from recsys_spark.pages.words import Share, shown

_NAMED: Final = 3


@dataclass(frozen=True)
class Words:
    """`ratings`, each with a `rating`; `purchases`, each with a `value of a purchase`; `events` where there are several types."""

    events: str
    value: str
    values: str

    @classmethod
    def of(cls, found: Entries) -> Words:
        """By the only type of the events, where there is only one."""
        types = [series for series in found.series("over_time") if series != SUMMARY]
        one = types[0] if len(types) == 1 and types[0] != OTHERS else "event"
        if one == "rating":
            return cls("ratings", "rating", "ratings")
        return cls(f"{one}s", f"value of a{'n' if one[0] in 'aeiou' else ''} {one}", f"values of {one}s")


def absent(title: str, why: str) -> Part:
    """A part of which there is nothing to show."""
    return Part(title, [Note("Not in this data", why)])


def named(label: str, statistics: dict[str, float]) -> str:
    """A group's label; the others with how many they are."""
    return f"{statistics[GROUPS]:,.0f} others" if label == OTHERS and GROUPS in statistics else label


def with_share(count: float, total: float) -> str:
    """`1,234 (12.3%)`."""
    return f"{count:,.0f} ({shown(Share(count / total))})"


def seen(kind: str, labels: Iterable[str], said: Iterable[str]) -> str:
    """A chart in words: its kind, and the first of what is on it."""
    told = [f"{label} {words}" for label, words in zip(labels, said, strict=True)]
    more = f"; {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return f"{kind}: {', '.join(told[:_NAMED])}{more}. All figures stand in the table below it."


def count(value: float | None) -> int | None:
    """A count as such, which tables keep as a double."""
    return None if value is None else round(value)
