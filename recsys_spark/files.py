"""What the feed knows of a data file; plain data, so that neither a rank nor a loader of artifacts needs Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LiveFile:
    """One data file of a pinned version: where it lies and how many rows the log counts in it."""

    url: str
    rows: int


@dataclass(frozen=True)
class Size:
    """Rows and bytes that Delta's log counts: of the whole table, and of its newest date (of all of it where it has none)."""

    rows: int
    bytes: int
    newest_rows: int
    newest_bytes: int

    @classmethod
    def of(cls, added: Iterable[Mapping[str, Any]], date_key: str) -> Size:
        """From the log's live files, `num_records`, `size_bytes` and values of partitions each; a file without count is 0."""
        files = [(one.get(date_key), one["num_records"] or 0, one["size_bytes"]) for one in added]
        newest = max((day for day, _, _ in files if day is not None), default=None)
        of_newest = [(rows, size) for day, rows, size in files if day == newest]
        return cls(
            sum(rows for _, rows, _ in files),
            sum(size for _, _, size in files),
            sum(rows for rows, _ in of_newest),
            sum(size for _, size in of_newest),
        )
