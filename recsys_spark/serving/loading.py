"""How a night gets into a store: its parts from many workers at once, then all of it goes live in one step."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final, NamedTuple, Protocol

from recsys_spark.serving.store import About
from recsys_spark.serving.text import words

ITEMS_PART: Final = -1  # in the place of a shard's number


class ItemRow(NamedTuple):
    """An item as it is loaded; `listed`: whether it stands in some published list."""

    item_idx: int
    item_id: str
    title: str | None
    category: str | None
    brand: str | None
    price: float | None
    year: int | None
    users: int
    listed: bool


class ListRow(NamedTuple):
    """A user as they are loaded: the list as `store.entries` reads it, the history as `history.history_of` does."""

    user_id: str
    entries: str
    history: str | None = None


class Part(NamedTuple):
    """What a worker has loaded: which shard, under what name, and how many rows."""

    shard: int
    name: str
    rows: int


class Turn(NamedTuple):
    """Of the lease that a job writes under: which table of leases it is of, and a number higher than any of holders before."""

    lease: str
    number: int


class Loader(Protocol):
    """Takes one new night in, on any worker: it can be pickled. A part that is loaded twice counts once."""

    def add_lists(self, shard: int, rows: Iterable[ListRow]) -> Part:
        """One shard, in order of user_id."""

    def add_items(self, rows: Iterable[ItemRow]) -> Part:
        """The catalogue, in order of item_idx."""


class Keeper(Protocol):
    """The nights of a store, as the driver of a job sees them. One job at a time, under the root's lease."""

    def loader(self, night: str) -> Loader: ...

    def finish(self, about: About, shards: int, parts: Sequence[Part]) -> None:
        """Every part of a night is there: it may go live from now on."""

    def kept(self, variant: str) -> list[About]:
        """The nights that are whole, the live one first, then those that were live before it, latest first."""

    def variants(self) -> list[str]:
        """Those that have a live night."""

    def model_folder(self, night: str) -> str:
        """Where the model lies that answers live, beside a night's lists; it may have none."""

    def go_live(self, about: About, keep: int, turn: Turn | None = None) -> None:
        """Make a night the live one of its variant in one step, and remove all but the `keep` latest of each variant.

        What another job is filling under a later turn stays.

        Args:
            turn: None where leases are off: then nothing is held against it.

        Raises:
            LeaseLostError: a night went live under a later turn, and stays so.
        """

    def copy_items(self, of: About, night: str) -> Part:
        """The catalogue of a night that is kept, for a new one."""

    def add_sheet(self, night: str, name: str, text: str) -> None:
        """Put a text beside the lists of a night that `loader` has begun; before it goes live."""

    def sheet(self, night: str, name: str) -> str | None:
        """The text of that name; None where there is none."""

    def remove(self) -> None:
        """Everything."""


def night_name(as_of: date, turn: Turn | None) -> str:
    """A name for a new night, which says under what turn it was begun."""
    return f"{as_of}.{turn.number if turn else 0}.{uuid.uuid4().hex[:16]}"


def begun_later(name: str, turn: Turn | None) -> bool:
    """Whether a night was begun under a later turn than this, by its name.

    >>> begun_later("2024-01-31.2000001.0123456789abcdef", Turn("lease", 1000007))
    True
    """
    number = name.split(".")[1:2]
    return turn is not None and bool(number) and number[0].isdigit() and int(number[0]) > turn.number


def with_words(rows: Iterable[ItemRow]) -> Iterator[tuple[ItemRow, str]]:
    """Each item with the words to find it by: those of its title, or of its id where it has none."""
    return ((row, " ".join(words(row.title or row.item_id))) for row in rows)
