"""What a file of a table holds of people, as marks: keyed hashes of ids and of words, and indices. Without Spark.

Data files are read as they lie, whether a version names them or not. Delta's log holds values too: the least and the
greatest of each column and file, and the conditions of what was done.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.serving.embedded_files import users_in
from recsys_spark.suppression import keyed_hash, words

UNREADABLE: Final = "unreadable"  # the mark of a file that cannot be looked into
OF_INDEX: Final = f"{c.USER_IDX} "  # and then the index: its mark

Value = tuple[str, Any]  # a column, and what stands in it


def marks(location: str, columns: Sequence[str], key: bytes) -> set[str]:
    """The marks of one file of a table, of some columns: `user_id`, `user_idx`, and texts, word by word. O(its values)."""
    try:
        return set(_marked(_values(location, columns), key))
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError, json.JSONDecodeError, sqlite3.DatabaseError):
        return {UNREADABLE}


def values_of_log(text: str, columns: Sequence[str]) -> Iterator[Value]:
    """The values of columns that a commit or checksum of Delta's log holds, a JSON object a line: in statistics, and in
    conditions that name an id's column, as texts."""
    for line in filter(str.strip, text.splitlines()):
        for entry in _objects(json.loads(line)):
            yield from _values_of_statistics(entry.get("stats"), columns)
            for condition in (entry.get("predicate"), entry.get("matchedPredicates")):
                if isinstance(condition, str) and (c.USER_ID in condition or c.USER_IDX in condition):
                    yield c.RAW, condition


def _is_text_of_log(location: str) -> bool:
    """Whether a file is a commit or checksum of a log; a file system's own checksums begin with a dot and hold no values."""
    folder, _, name = location.rpartition("/")
    return f"{folder}/".find("/_delta_log/") >= 0 and (
        name.endswith((".json", ".tmp")) or (name.endswith(".crc") and not name.startswith("."))
    )


def _values(location: str, columns: Sequence[str]) -> Iterator[Value]:
    if location.endswith(".parquet"):
        in_log = "/_delta_log/" in location
        wanted = ["add.stats"] if in_log else list(columns)
        with storage.opened(location) as opened:
            file = pq.ParquetFile(opened)
            if in_log:
                yield from _of_checkpoint(file.read(columns=wanted), columns)
            else:
                yield from _of_data(file, [name for name in wanted if name in file.schema_arrow.names])
    elif location.endswith(".sqlite"):
        yield from ((c.USER_ID, user_id) for user_id in users_in(location))
    elif _is_text_of_log(location):
        with storage.opened(location) as opened:
            yield from values_of_log(opened.read().decode(), columns)


def _of_data(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[Value]:
    for group in range(file.num_row_groups) if columns else ():
        read = file.read_row_group(group, columns=list(columns))
        for name in columns:
            yield from ((name, value) for value in pc.unique(read.column(name)).to_pylist())


def _of_checkpoint(read: pa.Table, columns: Sequence[str]) -> Iterator[Value]:
    for add in read.column("add").to_pylist() if "add" in read.column_names else ():
        yield from _values_of_statistics((add or {}).get("stats"), columns)


def _values_of_statistics(statistics: Any, columns: Sequence[str]) -> Iterator[Value]:
    if not isinstance(statistics, str):
        return
    parsed = json.loads(statistics)
    for bound in ("minValues", "maxValues"):
        found = parsed.get(bound) or {}
        yield from ((name, found[name]) for name in columns if found.get(name) is not None)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a JSON value, itself among them."""
    inside: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield value
    for one in inside:
        yield from _objects(one)


def _marked(values: Iterable[Value], key: bytes) -> Iterator[str]:
    for name, value in values:
        if value is None:
            continue
        if name == c.USER_IDX:
            yield f"{OF_INDEX}{value}"
        elif name == c.USER_ID:
            yield str(keyed_hash(key, value))
        else:
            yield from (str(keyed_hash(key, word)) for word in words(value))
