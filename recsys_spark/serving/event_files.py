"""Files of events: what was appended is on disk, and only whole files are for others to read.

An open file is called `_NAME.open` and locked by its process. It is closed by a new name, `NAME.jsonl`, and never changes
again: what reads `*.jsonl` meets whole files alone. One that a killed process has left is closed by whoever looks next.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from recsys_spark.errors import UserError

CLOSED: Final = ".jsonl"
_OPEN: Final = ".open"
_MODE: Final = 0o640  # people's rows: for the owner and those of its group who ingest
_FOLDER_MODE: Final = 0o750


@dataclass
class _Open:
    path: Path
    descriptor: int
    since: float
    size: int = 0  # of what is on disk


class EventFiles:
    """The files of one process in a folder that many may share. Not for several threads.

    Args:
        most_bytes, seconds: a file is closed once it is so large, or so old.
        clock: seconds, for the age of a file.

    Raises:
        UserError: the folder cannot be made, or not be written to.
    """

    def __init__(
        self, folder: str, most_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._most_bytes, self._seconds, self._clock = Path(folder), most_bytes, seconds, clock
        self._open: _Open | None = None
        try:
            self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"serve.events_dir={folder} cannot be made: {error.strerror}") from None
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise UserError(f"serve.events_dir={folder} cannot be written to: give it to the user of the service")

    def append(self, lines: bytes) -> None:
        """Whole lines; when it returns, they are on disk.

        Raises:
            OSError: they are not, and no part of them is in the file.
        """
        file = self._open or self._new()
        try:
            _write(file.descriptor, lines)
            os.fsync(file.descriptor)
        except OSError:
            self._give_up(file)
            raise
        file.size += len(lines)

    def close_if_due(self) -> None:
        """Close the file if it is large or old enough."""
        file = self._open
        if file and (file.size >= self._most_bytes or self._clock() - file.since >= self._seconds):
            self.close()

    def close(self) -> None:
        """Hand the open file over, if there is one."""
        if file := self._open:
            self._open = None
            try:
                self._hand_over(file.path, file.size)
            finally:
                os.close(file.descriptor)

    def adopt(self) -> int:
        """Close the files of processes that are no more; how many ended in a piece of a line, which is cut off."""
        torn = 0
        for path in sorted(self._folder.glob(f"_*{_OPEN}")):
            with suppress(FileNotFoundError, BlockingIOError):  # another was quicker; or its process lives
                torn += self._adopted(path)
        return torn

    def _new(self) -> _Open:
        """A file that nobody else can have; its name is on disk before anything is promised."""
        while True:
            name = f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}"
            path = self._folder / f"_{name}{_OPEN}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _MODE)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, path):  # or else it was adopted before it was locked
                    _sync_folder(self._folder)
                    self._open = _Open(path, descriptor, self._clock())
                    return self._open
            except BlockingIOError:
                pass
            except OSError:
                os.close(descriptor)
                path.unlink(missing_ok=True)
                raise
            os.close(descriptor)

    def _give_up(self, file: _Open) -> None:
        """Cut a file back to what was promised and take no more into it: after a failed fsync nobody knows what it holds."""
        self._open = None
        try:
            with suppress(OSError):  # then whoever adopts the file cuts it at the end of its last line
                os.ftruncate(file.descriptor, file.size)
                os.fsync(file.descriptor)
                self._hand_over(file.path, file.size)
        finally:
            os.close(file.descriptor)

    def _adopted(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(descriptor, path):
                return 0
            size, whole = os.fstat(descriptor).st_size, _end_of_lines(descriptor)
            if whole < size:
                os.ftruncate(descriptor, whole)
            os.fsync(descriptor)
            self._hand_over(path, whole)
            return int(whole < size)
        finally:
            os.close(descriptor)

    def _hand_over(self, path: Path, size: int) -> None:
        if size:
            path.rename(path.with_name(path.name.removeprefix("_").removesuffix(_OPEN) + CLOSED))
        else:
            path.unlink()
        _sync_folder(self._folder)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _end_of_lines(descriptor: int) -> int:
    """Where the last whole line of a file ends."""
    if not os.fstat(descriptor).st_size:
        return 0
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
        return content.rfind(b"\n") + 1


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
