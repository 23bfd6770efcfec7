"""What answers are read from: the live night of each variant, whatever keeps it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol

from recsys_spark.serving.live_model import LiveModel


@dataclass(frozen=True)
class About:
    """Which night it is: its name, and what its lists were made from; `version` is that of `recommendations`."""

    name: str
    variant: str
    as_of_date: date
    model_version: str
    version: int
    users: int = 0


class Entry(NamedTuple):
    """A place of a published list; its rank is that in the list, from 1."""

    item_id: str
    score: float
    reason_code: str
    reason_item_id: str | None


class Item(NamedTuple):
    """An item of the catalogue; `users` is how many had it up to the night's date, by which items are popular."""

    item_id: str
    title: str | None
    category: str | None
    brand: str | None
    price: float | None
    year: int | None
    users: int


class Night(Protocol):
    """One night's lists of one variant, which never change. Every method may be called by several threads at once.

    `quick`: lists and items of a few ids take microseconds, less than it takes to hand them to a thread.
    """

    quick: bool
    model: LiveModel | None  # what answers on the spot, where there is one

    @property
    def about(self) -> About: ...

    def lists(self, user_ids: Collection[str]) -> dict[str, list[Entry]]:
        """The lists of those users who have one, best first."""

    def history(self, user_id: str) -> str | None:
        """What is kept of a user beside the list, as `history.history_of` reads it; None where nothing is."""

    def items(self, item_ids: Collection[str]) -> dict[str, Item]:
        """Those of the items that the catalogue has."""

    def indices(self, item_ids: Collection[str]) -> dict[str, int]:
        """The index of each of the items that the catalogue has."""

    def numbered(self, indices: Collection[int]) -> dict[int, Item]:
        """Items by their index."""

    def popular(self, n: int) -> Sequence[Item]:
        """The `n` items of most users, most first, of those that stand in some published list.

        What stands in none may be barred for everyone: not to be had, or in a blocked category.
        """

    def search(self, text: str, n: int) -> list[Item]:
        """Up to `n` items whose title has a word for each of the text's that begins with it, those of most users first."""

    def users(self, start: str, n: int) -> list[str]:
        """Up to `n` users who have a list and whose id begins so, in the order of their code points."""

    def sheet(self, name: str) -> str | None:
        """What was written down beside the lists under a name, see `sheets`; None where nothing was."""


class Store(Protocol):
    """The live nights. A night that was taken stays as it is, whatever goes live meanwhile."""

    def live(self) -> Mapping[str, Night]:
        """By variant, as of the last `refresh`."""

    def refresh(self) -> bool:
        """Look for nights that have gone live since; whether there were any."""

    def close(self) -> None: ...


class StoreUnavailableError(Exception):
    """The store cannot be read just now; it may be in a moment."""


def shard_of(user_id: str, shards: int) -> int:
    """In which of so many parts a user's list lies: CRC-32 of the id's UTF-8 bytes, which Spark has, too.

    >>> shard_of("1", 7)
    2
    """
    return zlib.crc32(user_id.encode()) % shards


def entries(text: str) -> list[Entry]:
    """A list as it is kept: JSON, an array for each field of `Entry`.

    >>> entries('{"item_id":["a"],"score":[0.5],"reason_code":["model"],"reason_item_id":[null]}')
    [Entry(item_id='a', score=0.5, reason_code='model', reason_item_id=None)]
    """
    fields = json.loads(text)
    return [Entry(*values) for values in zip(*(fields[name] for name in Entry._fields), strict=True)]
