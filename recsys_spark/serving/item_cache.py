"""Items that were asked for lately: lists name the same few again and again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from recsys_spark.serving.store import Item

_MOST: Final = 1 << 17


class ItemCache:
    """Looks items up by id, all that are not known in one read; begins anew when it is full. For any number of threads.

    Args:
        read: the items of ids that there are; should hold on to the file or server, and not to the night.
    """

    def __init__(self, read: Callable[[list[str]], Iterable[Item]], most: int = _MOST) -> None:
        self._read, self._most = read, most
        self._known: dict[str, Item] = {}

    def items(self, item_ids: Collection[str]) -> dict[str, Item]:
        """Those of the items that there are."""
        known = self._known
        found = {item_id: item for item_id in item_ids if (item := known.get(item_id))}
        missing = [item_id for item_id in item_ids if item_id not in found]
        if missing:
            read = {item.item_id: item for item in self._read(missing)}
            if len(known) + len(read) > self._most:
                self._known = known = {}
            known.update(read)
            found |= read
        return found
