"""Files that were written for ingest alone: they go once their rows are in the tables."""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import unquote

from recsys_spark import storage


def waiting(path: str) -> bool:
    """Whether there is a file to read."""
    return bool(storage.files_like(path))


def removed(files: Iterable[str]) -> int:
    """Remove files by their addresses, as Spark gives them; how many there were.

    What the tables were given is put on this machine's disks first: the rows have no other copy from here on.
    """
    os.sync()
    count = 0
    for file in files:
        folder, _, name = unquote(file).rpartition("/")
        storage.delete_files(folder, [name])
        count += 1
    return count
