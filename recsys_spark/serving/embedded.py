"""The embedded store, read: SQLite files that never change, found by the hash of a user's id. Nothing else need run.

Memory is bounded by the catalogue: pages of lists are the system's to keep or to drop, of items there are those last asked for.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Any, Final

from recsys_spark import storage
from recsys_spark.serving.embedded_files import about_of, read_manifest, read_sheet
from recsys_spark.serving.item_cache import ItemCache
from recsys_spark.serving.live_model import IN_NIGHT, live_model_at
from recsys_spark.serving.live_nights import live_nights
from recsys_spark.serving.store import Entry, Item, Night, entries, shard_of
from recsys_spark.serving.text import LAST, words

_MAPPED: Final = 1 << 40  # all of a file: its pages are the system's, and go where memory is short
_OF_ITEM: Final = ", ".join(Item._fields)


class EmbeddedStore:
    """See `store.Store`. A store that lies elsewhere than on this machine's disk is copied to it, a night at a time."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._live: dict[str, EmbeddedNight] = {}

    def live(self) -> Mapping[str, Night]:
        return self._live

    def refresh(self) -> bool:
        """What is open already stays open; readers see the old nights or the new ones, in one assignment."""
        wanted = {variant: names[0] for variant, names in live_nights(self._location).nights.items()}
        if wanted == {variant: night.about.name for variant, night in self._live.items()}:
            return False
        opened = {night.about.name: night for night in self._live.values()}
        self._live = {
            variant: opened.get(name) or EmbeddedNight(self._location, name) for variant, name in wanted.items()
        }
        return True

    def close(self) -> None:
        self._live = {}


class EmbeddedNight:
    """See `store.Night`. Its files are closed, and a copy of them removed, when nobody has it any more."""

    quick = True

    def __init__(self, location: str, name: str) -> None:
        manifest = read_manifest(location, name)
        self.about = about_of(manifest)
        source = storage.join(location, name)
        folder = storage.local_copy(source)
        if str(folder) != source.rstrip("/"):
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = str(folder)
        self._shards = int(manifest["shards"])
        self._lists = {int(shard): _File(folder / file) for shard, file in manifest["lists"].items()}
        self._items = _File(folder / manifest["items"])
        self._has_histories = bool(manifest.get("histories", False))  # one filled by an earlier version has none
        self._cache = ItemCache(partial(_items_in, self._items))
        self.model = live_model_at(storage.join(str(folder), IN_NIGHT))

    def lists(self, user_ids: Collection[str]) -> dict[str, list[Entry]]:
        by_shard: dict[int, list[str]] = {}
        for user_id in user_ids:
            by_shard.setdefault(shard_of(user_id, self._shards), []).append(user_id)
        found: dict[str, list[Entry]] = {}
        for shard, ids in by_shard.items():
            if shard in self._lists:
                query = f"SELECT user_id, list FROM lists WHERE user_id IN ({_places(ids)})"
                found |= {user_id: entries(text) for user_id, text in self._lists[shard].rows(query, ids)}
        return found

    def history(self, user_id: str) -> str | None:
        file = self._lists.get(shard_of(user_id, self._shards)) if self._has_histories else None
        rows = file.rows("SELECT history FROM lists WHERE user_id = ?", [user_id]) if file else []
        return next((text for (text,) in rows), None)

    def indices(self, item_ids: Collection[str]) -> dict[str, int]:
        ids = list(item_ids)
        return dict(self._items.rows(f"SELECT item_id, item_idx FROM items WHERE item_id IN ({_places(ids)})", ids))

    def numbered(self, indices: Collection[int]) -> dict[int, Item]:
        query = f"SELECT item_idx, {_OF_ITEM} FROM items WHERE item_idx IN ({_places(indices)})"
        return {index: Item(*row) for index, *row in self._items.rows(query, indices)}

    def items(self, item_ids: Collection[str]) -> dict[str, Item]:
        return self._cache.items(item_ids)

    def popular(self, n: int) -> list[Item]:
        query = f"SELECT {_OF_ITEM} FROM items WHERE listed = 1 ORDER BY users DESC, item_idx LIMIT ?"
        return [Item(*row) for row in self._items.rows(query, [n])]

    def search(self, text: str, n: int) -> list[Item]:
        wanted = " ".join(f'"{word}"*' for word in words(text))
        if not wanted:
            return []
        query = f"""
            SELECT {_OF_ITEM} FROM items WHERE item_idx IN (SELECT rowid FROM titles WHERE titles MATCH ?)
            ORDER BY users DESC, item_idx LIMIT ?"""
        return [Item(*row) for row in self._items.rows(query, [wanted, n])]

    def users(self, start: str, n: int) -> list[str]:
        query = "SELECT user_id FROM lists WHERE user_id >= ? AND user_id <= ? ORDER BY user_id LIMIT ?"
        found = (row for file in self._lists.values() for row in file.rows(query, [start, start + LAST, n]))
        return nsmallest(n, (user_id for (user_id,) in found))

    def sheet(self, name: str) -> str | None:
        return read_sheet(self._folder, name)


class _File:
    """A database that nobody writes to, for one thread at a time: a look-up takes some ten microseconds."""

    def __init__(self, path: Path) -> None:
        # immutable: no lock and no change is looked for
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._database.execute(f"PRAGMA mmap_size = {_MAPPED}")
        self._lock = threading.Lock()

    def rows(self, query: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, tuple(values)).fetchall()


def _items_in(file: _File, item_ids: list[str]) -> list[Item]:
    query = f"SELECT {_OF_ITEM} FROM items WHERE item_id IN ({_places(item_ids)})"
    return [Item(*row) for row in file.rows(query, item_ids)]


def _places(values: Collection[str] | Collection[int]) -> str:
    return ", ".join("?" * len(values))
