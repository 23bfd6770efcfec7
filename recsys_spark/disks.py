"""Disks of this machine: where a run writes, and what to say where one is full."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SCHEME: Final = "://"
_FULL: Final = re.compile(r"No space left on device|Disk quota exceeded|File too large")


def places(root: str | None) -> list[str]:
    """Where tables, Python's temporary files and what Spark spills lie: folders that exist, each once.

    A root that is no local path has no disk of this machine.
    """
    asked = [tempfile.gettempdir(), *os.environ.get("SPARK_LOCAL_DIRS", "").split(",")]
    if root is not None and (root.startswith("file:") or _SCHEME not in root):
        asked.insert(0, re.sub(r"^file:/+", "/", root))
    folders = [Path(place).absolute() for place in asked if place]
    return list(dict.fromkeys(str(next(at for at in (folder, *folder.parents) if at.is_dir())) for folder in folders))


def full(error: BaseException, root: str | None) -> str | None:
    """What to say of an error for want of room: each folder with what is free, the least first. None for any other error."""
    if not any(_FULL.search(str(one)) for one in _behind(error)):
        return None
    free = sorted((shutil.disk_usage(place).free, place) for place in places(root))
    named = ", ".join(f"{place} has {mib(room)} MiB free" for room, place in free)
    return f"no space is left on a disk ({named}; executors may have disks of their own): free some, then run it again"


def mib(size: int) -> str:
    """Bytes in MiB, rounded down."""
    return f"{size >> 20:,}"


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
