"""API keys: who may ask, and how often. A file keeps names and hashes, never keys.

A key is 32 random bytes, so that one SHA-256 of it gives nothing away: the slow hashes of passwords are for what can be
guessed. Requests of a key are paced by a token bucket.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recsys_spark.errors import UserError

_LINE: Final = re.compile(r"([\w.-]{1,64}):([0-9a-f]{64})")


@dataclass
class Bucket:
    """`burst` requests at once, `rate` a second in the long run."""

    rate: float
    burst: int
    tokens: float = field(init=False)
    filled_at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = float(self.burst)

    def wait(self, now: float) -> float:
        """Take a token: 0.0, or, where there is none, the seconds until there will be."""
        self.tokens = min(float(self.burst), self.tokens + max(0.0, now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / self.rate
        self.tokens -= 1.0
        return 0.0


class Keys:
    """The keys of a file, which is read again when it changes; without a file anyone may ask, at any rate.

    Raises:
        UserError: the file cannot be read, or a line of it is no name and hash.
    """

    def __init__(self, file: str, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._rate, self._burst, self._clock = file, rate, burst, clock
        self._names: dict[str, str] = {}
        self._buckets: dict[str, Bucket] = {}
        self._changed = -1
        self.refresh()

    @property
    def wanted(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._file)

    def refresh(self) -> None:
        """Read the file again where it has changed: keys that were added count from now on, those removed no more."""
        if not self._file:
            return
        try:
            changed = Path(self._file).stat().st_mtime_ns
            if changed != self._changed:
                self._names = parsed(Path(self._file).read_text(encoding="utf-8"), self._file)
                self._changed = changed
        except OSError as error:
            raise UserError(
                f"serve.keys_file={self._file} cannot be read: {error.strerror}; recsys-serve --new-key NAME makes one"
            ) from None

    def name_of(self, key: str) -> str | None:
        """Whose key it is; None: nobody's."""
        return self._names.get(_hash(key))

    def wait(self, name: str) -> float:
        """Count a request of a key: 0.0, or the seconds until it may be made."""
        bucket = self._buckets.setdefault(name, Bucket(self._rate, self._burst, self._clock()))
        return bucket.wait(self._clock())


def parsed(text: str, file: str) -> dict[str, str]:
    """Names by hash.

    Raises:
        UserError: a line is no name and hash.
    """
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    found = [_LINE.fullmatch(line) for line in lines]
    if None in found:
        raise UserError(
            f"serve.keys_file={file}: line {found.index(None) + 1} is not NAME:SHA256; lines are made by "
            "recsys-serve --new-key NAME"
        )
    return {match[2]: match[1] for match in found if match}


def add_key(file: str, name: str) -> str:
    """Make a key and add its name and hash to the file, which its owner alone may read; the key, which is kept nowhere.

    Raises:
        UserError: there is no file to add to, or the name is none.
    """
    key = secrets.token_urlsafe(32)
    line = f"{name}:{_hash(key)}"
    if not _LINE.fullmatch(line):
        raise UserError(f"--new-key {name!r}: a name has letters, digits, dots and dashes, 64 at most")
    if not file:
        raise UserError("--new-key needs a file to keep hashes in: --set serve.keys_file=PATH")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as opened:
        opened.write(line + "\n")
    return key


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
