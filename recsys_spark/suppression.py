"""Who is kept out: keyed hashes of ids, the key that they are made with, and how rows are held against them.

A plain hash of an id can be guessed by hashing all ids; HMAC-SHA256 (RFC 2104) cannot without its key, which is therefore
kept outside the tables: in the environment, or in a file below a local root that its owner alone reads.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.schemas import SUPPRESSED
from recsys_spark.tables import Tables
from recsys_spark.transform import same_row

KEY_VARIABLE: Final = "RECSYS_SUPPRESSION_KEY"
KEY_FILE: Final = ".suppression_key"
TOMBSTONE: Final = "forgotten:"  # then the keyed hash: what stands in `users` for a person who was forgotten
IS_SUPPRESSED: Final = "suppressed"  # in the place of a reason; such rows are counted, and kept nowhere

_SHORTEST_KEY: Final = 16
_KEY_ID_DIGITS: Final = 8
_GONE: Final = "_gone"
_LETTERS_AND_DIGITS: Final = re.compile(r"[^\W_]+")
_BETWEEN_BLANKS: Final = re.compile(r"[^\s,;:|=&\"'\\()\[\]{}<>]+")
_FIELDS: Final = re.compile(r"[^,;\t|\"\\]+")


def keyed_hash(key: bytes, text: str | None) -> str | None:
    """HMAC-SHA256 of a text's UTF-8 bytes, in hex; None for None.

    >>> keyed_hash(b"key", "The quick brown fox jumps over the lazy dog")[:16]
    'f7bc83f430538424'
    """
    return None if text is None else hmac.new(key, text.encode(), "sha256").hexdigest()


def key_id(key: bytes) -> str:
    """Eight hex digits that tell one key from another, and nothing about it."""
    return str(keyed_hash(key, "which key this is"))[:_KEY_ID_DIGITS]


def words(text: str | None) -> set[str]:
    """All that may be an id in a row's raw text: runs of letters and digits; what stands between blanks, quotes and
    separators; whole fields, blanks within them kept.

    >>> sorted(words("J. Roe,a-1@b.c"))
    ['1', 'J', 'J.', 'J. Roe', 'Roe', 'a', 'a-1@b.c', 'b', 'c']
    """
    if text is None:
        return set()
    fields = {field.strip() for field in _FIELDS.findall(text)} - {""}
    return {*_LETTERS_AND_DIGITS.findall(text), *_BETWEEN_BLANKS.findall(text), *fields}


def known_key(tables: Tables) -> bytes | None:
    """The key that this root's hashes are made with; None where there is none yet.

    Raises:
        UserError: the key is too short to be one.
    """
    given = os.environ.get(KEY_VARIABLE, "").encode()
    file = _key_file(tables)
    if not given and file is not None and file.is_file():
        given = file.read_bytes().strip()
    if given and len(given) < _SHORTEST_KEY:
        raise UserError(f"the key in {KEY_VARIABLE} has {len(given)} bytes, expected {_SHORTEST_KEY} or more")
    return given or None


def made_key(tables: Tables) -> bytes:
    """A new key, not yet kept.

    Raises:
        UserError: the root is no local path, so that its key must come from the environment; or the root has a suppression
            list, whose key is missing.
    """
    if _key_file(tables) is None:
        raise UserError(f"the root {tables.root} is no local path: put a key of 16 bytes or more into {KEY_VARIABLE}")
    if tables.exists(SUPPRESSED.name):
        raise _key_is_missing(tables)
    return secrets.token_hex(32).encode()


def keep_key(tables: Tables, key: bytes) -> None:
    """Write a made key below the root, readable by its owner alone; one that is known already is not written."""
    file = _key_file(tables)
    if known_key(tables) is not None or file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(opened, "wb") as writer:
        writer.write(key + b"\n")


@dataclass(frozen=True)
class Suppression:
    """The suppression list, `hashes` (keyed_hash), and the key to hold ids against it."""

    hashes: DataFrame
    key: bytes

    def mark(self, judged: DataFrame) -> DataFrame:
        """Judged rows -> the same, with `IS_SUPPRESSED` for a reason, and no text, where the user is on the list.

        One hash a row and one join by it.
        """
        if c.USER_ID not in judged.columns:
            return judged
        listed = self.hashes.select(c.KEYED_HASH, F.lit(True).alias(_GONE))
        hashed = judged.withColumn(c.KEYED_HASH, hash_of(self.key, c.USER_ID)).join(listed, on=c.KEYED_HASH, how="left")
        marked = hashed.withColumn(c.REASON, F.when(F.col(_GONE), F.lit(IS_SUPPRESSED)).otherwise(F.col(c.REASON)))
        for text in (c.RAW, c.DETAIL):
            marked = marked.withColumn(text, F.when(F.col(_GONE).isNull(), F.col(text)))
        return marked.select(judged.columns)

    def without_named(self, rejected: DataFrame, key: Sequence[str]) -> DataFrame:
        """Rejected rows less those whose text names someone on the list; `key` tells rows apart."""
        named = holding(rejected, key, (c.RAW, c.DETAIL), self.hashes, self.key)
        return rejected.alias("new").join(named.alias("named"), on=same_row(key, "new", "named"), how="left_anti")


def suppression(tables: Tables) -> Suppression | None:
    """The root's suppression list; None where nobody is on it.

    Raises:
        UserError: the key is missing, or is not the one that the list was made with: people would come back in silence.
    """
    if not tables.exists(SUPPRESSED.name):
        return None
    listed = tables.read(SUPPRESSED.name)
    made_with = [row[0] for row in listed.select(c.KEY_ID).distinct().limit(2).collect()]
    if not made_with:
        return None
    key = known_key(tables)
    if key is None:
        raise _key_is_missing(tables)
    if made_with != [key_id(key)]:
        raise UserError(
            f"table `suppressed` under {tables.root} was made with key {', '.join(made_with)}, the key at hand is "
            f"{key_id(key)}: set {KEY_VARIABLE} to the one it was made with"
        )
    return Suppression(listed.select(c.KEYED_HASH).distinct(), key)


def hash_of(key: bytes, column: str) -> Column:
    """The keyed hash of a text column. The key travels within the function, not in the plan, which Spark logs."""
    return F.udf(partial(keyed_hash, key), StringType(), useArrow=True)(F.col(column))


def words_hashed(rows: DataFrame, key: Sequence[str], texts: Sequence[str], secret: bytes) -> DataFrame:
    """`(*key, keyed_hash)`: a row for each word of a row's texts. O(words)."""
    of_words = F.udf(partial(_hashes_of_words, secret), ArrayType(StringType()), useArrow=True)
    return rows.select(*key, F.explode(of_words(F.concat_ws("\t", *texts))).alias(c.KEYED_HASH))


def holding(rows: DataFrame, key: Sequence[str], texts: Sequence[str], hashes: DataFrame, secret: bytes) -> DataFrame:
    """The keys of the rows that hold, as a word of one of `texts`, an id whose hash is among `hashes`."""
    each = words_hashed(rows, key, texts, secret)
    return each.join(hashes.select(c.KEYED_HASH), on=c.KEYED_HASH, how="left_semi").select(*key).distinct()


def _hashes_of_words(key: bytes, text: str | None) -> list[str]:
    return [str(keyed_hash(key, word)) for word in words(text)]


def _key_file(tables: Tables) -> Path | None:
    return None if tables.in_catalog or ":" in tables.root else Path(tables.root) / KEY_FILE


def _key_is_missing(tables: Tables) -> UserError:
    where = _key_file(tables)
    return UserError(
        f"table `suppressed` under {tables.root} keeps people out, and its key is missing: set {KEY_VARIABLE}"
        + (f", or put {where} back from a backup" if where else "")
    )
