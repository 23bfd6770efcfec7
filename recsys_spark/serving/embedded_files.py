"""The embedded store's files, written by the workers that make them: SQLite, a file a shard, in a folder a night.

STORE/live/<number>.json               the nights of each variant by name, the live one first, see `live_nights`
STORE/<night>/model/                   what answers live, see `live_export`
STORE/<night>/night.json               what the night is and which files it has; written last
STORE/<night>/lists-<shard>-<try>.sqlite, items-<try>.sqlite
STORE/<night>/<name>.json              sheets, see `sheets`

No file is ever changed. A worker writes to its own disk and uploads, so that workers, driver and service need nothing in
common but the place where artifacts lie. A file that a failed or repeated task left is in no manifest.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from recsys_spark import storage
from recsys_spark.serving.live_model import IN_NIGHT
from recsys_spark.serving.live_nights import LIVE, change, live_nights
from recsys_spark.serving.loading import ITEMS_PART, ItemRow, ListRow, Part, Turn, begun_later, with_words
from recsys_spark.serving.store import About

MANIFEST: Final = "night.json"

_LISTS: Final = "CREATE TABLE lists (user_id TEXT PRIMARY KEY, list TEXT NOT NULL, history TEXT)"
_ITEMS: Final = """\
CREATE TABLE items (item_idx INTEGER PRIMARY KEY, item_id TEXT UNIQUE, title TEXT, category TEXT, brand TEXT, price REAL,
                    year INTEGER, users INTEGER NOT NULL, listed INTEGER NOT NULL)"""
_WORDS: Final = "CREATE VIRTUAL TABLE titles USING fts5(words, content='')"
_POPULAR: Final = "CREATE INDEX popular ON items (listed, users DESC, item_idx)"


@dataclass(frozen=True)
class EmbeddedLoader:
    """See `loading.Loader`."""

    folder: str

    def add_lists(self, shard: int, rows: Iterable[ListRow]) -> Part:
        with _new_file(self.folder, f"lists-{shard:05d}") as (database, name):
            database.execute(_LISTS)
            count = database.executemany("INSERT INTO lists VALUES (?, ?, ?)", rows).rowcount
        return Part(shard, name, count)

    def add_items(self, rows: Iterable[ItemRow]) -> Part:
        count = 0
        with _new_file(self.folder, "items") as (database, name):
            database.execute(_ITEMS)
            database.execute(_WORDS)
            for row, words in with_words(rows):
                database.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                database.execute("INSERT INTO titles (rowid, words) VALUES (?, ?)", (row.item_idx, words))
                count += 1
            database.execute(_POPULAR)
        return Part(ITEMS_PART, name, count)


@dataclass(frozen=True)
class EmbeddedKeeper:
    """See `loading.Keeper`."""

    location: str

    def loader(self, night: str) -> EmbeddedLoader:
        return EmbeddedLoader(storage.join(self.location, night))

    def finish(self, about: About, shards: int, parts: Sequence[Part]) -> None:
        files = {str(part.shard): part.name for part in parts if part.shard != ITEMS_PART}
        (items,) = (part.name for part in parts if part.shard == ITEMS_PART)
        manifest = asdict(about) | {"shards": shards, "lists": files, "items": items, "histories": True}
        text = json.dumps(manifest, indent=2, default=str)
        storage.save_file(storage.join(self.location, about.name, MANIFEST), text.encode())

    def kept(self, variant: str) -> list[About]:
        names = live_nights(self.location).nights.get(variant, [])
        return [about_of(read_manifest(self.location, name)) for name in names]

    def variants(self) -> list[str]:
        return sorted(live_nights(self.location).nights)

    def model_folder(self, night: str) -> str:
        return storage.join(self.location, night, IN_NIGHT)

    def go_live(self, about: About, keep: int, turn: Turn | None = None) -> None:
        before = live_nights(self.location)
        others = [name for name in before.nights.get(about.variant, []) if name != about.name]
        after = before.after(turn, {**before.nights, about.variant: [about.name, *others][:keep]})
        change(self.location, before, after)
        were, are = ({name for names in found.nights.values() for name in names} for found in (before, after))
        for name in set(storage.folders(self.location)) - are - {LIVE}:
            if name in were or not begun_later(name, turn):
                storage.delete_folder(storage.join(self.location, name))

    def copy_items(self, of: About, night: str) -> Part:
        name = str(read_manifest(self.location, of.name)["items"])
        copied = storage.join(self.location, night, name)
        storage.copy_file(storage.join(self.location, of.name, name), copied)
        return Part(ITEMS_PART, name, 0)

    def add_sheet(self, night: str, name: str, text: str) -> None:
        storage.save_file(sheet_file(storage.join(self.location, night), name), text.encode())

    def sheet(self, night: str, name: str) -> str | None:
        return read_sheet(storage.join(self.location, night), name)

    def remove(self) -> None:
        storage.delete_folder(self.location)


def read_manifest(location: str, night: str) -> dict[str, Any]:
    """What `finish` wrote.

    Raises:
        FileNotFoundError: the night is not there, or not whole.
    """
    found = storage.read_file(storage.join(location, night, MANIFEST))
    if found is None:
        raise FileNotFoundError(f"{storage.join(location, night)} has no {MANIFEST}")
    manifest: dict[str, Any] = json.loads(found)
    return manifest


def sheet_file(folder: str, name: str) -> str:
    """Where a sheet of a night lies."""
    return storage.join(folder, f"{name}.json")


def read_sheet(folder: str, name: str) -> str | None:
    """A sheet of a night's folder; None where it has none of that name."""
    found = storage.read_file(sheet_file(folder, name))
    return None if found is None else found.decode()


def about_of(manifest: dict[str, Any]) -> About:
    """Which night a manifest is of."""
    told = {name: manifest[name] for name in About.__dataclass_fields__}
    return About(**(told | {"as_of_date": date.fromisoformat(told["as_of_date"])}))


def users_in(location: str) -> Iterator[str]:
    """The users of a file of lists, none of one of items."""
    with tempfile.TemporaryDirectory(prefix="recsys-store-") as own:
        storage.download(location, Path(own) / "file.sqlite")
        database = sqlite3.connect(Path(own) / "file.sqlite")
        try:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'lists'").fetchone():
                yield from (user_id for (user_id,) in database.execute("SELECT user_id FROM lists"))
        finally:
            database.close()


@contextmanager
def _new_file(folder: str, start: str) -> Iterator[tuple[sqlite3.Connection, str]]:
    """A database on this machine's disk, uploaded under a name of its own once the block has filled it."""
    name = f"{start}-{uuid.uuid4().hex[:8]}.sqlite"
    with tempfile.TemporaryDirectory(prefix="recsys-store-") as own:
        database = sqlite3.connect(Path(own) / name, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = OFF")  # one that is not whole is thrown away
            database.execute("PRAGMA synchronous = OFF")
            database.execute("BEGIN")
            yield database, name
            database.execute("COMMIT")
        finally:
            database.close()
        storage.upload(Path(own) / name, storage.join(folder, name))
