"""Files as numbered rows: each row knows its source and its line, exactly, however Spark cut the files into blocks.

No row moves. Rows of a block come in order, and `monotonically_increasing_id` grows along them; so a first pass that
only counts the rows of each block tells every block's offset, which a broadcast join then adds in the second pass.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.spark_errors import SparkFailure, explained, explanation, readable_path, shown

_FILE, _BLOCK, _ID, _SHIFT = "_file", "_block", "_id", "_shift"
_FIRST, _ROWS, _HEAD = "_first", "_rows", "_head"
_HEAD_LENGTH = 1 << 16
_BYTE_ORDER_MARK = "\ufeff"
_COMPRESSED = (".gz", ".bz2", ".zst", ".deflate", ".snappy", ".lz4")


@dataclass(frozen=True)
class Lines:
    """The rows `(source, line, raw)` of text files, blank ones left out, and the first line of each file."""

    rows: DataFrame
    heads: Mapping[str, str]


def list_files(spark: SparkSession, path: str) -> list[str]:
    """The addresses of the files that a path (file, folder or glob) stands for, in order.

    Raises:
        UserError: there are none.
    """
    with explained(path):
        files = sorted(unquote(uri) for uri in spark.read.text(path).inputFiles())
    if not files:
        raise UserError(f"{path}: no files here; expected the data set's files")
    return files


def read_lines(spark: SparkSession, paths: Sequence[str], encoding: str = "UTF-8", otherwise: str = "") -> Lines:
    """Text files as numbered lines; line ends are \\n, \\r\\n or \\r.

    Two passes over the files, the first only counting: O(bytes) each, no shuffle of rows. Counts of blocks come to
    the driver, as many as Spark itself keeps there for its splits.

    Args:
        encoding: of the text; one that keeps ASCII as it is, since lines are cut before they are decoded.
        otherwise: a second encoding, for lines that the first does not fit.

    Raises:
        UserError: a file is missing, damaged or empty.
    """
    what = ", ".join(shown(path) for path in paths)
    encodings = [_charset(name) for name in (encoding, otherwise) if name]
    files = [file for path in paths for file in list_files(spark, path)]
    text = spark.read.text(list(paths)).withColumnRenamed("value", c.RAW)
    head = _decoded(F.substring(c.RAW, 1, _HEAD_LENGTH), *encodings)
    try:
        with explained(what):
            rows, heads = number_rows(text, F.col(c.RAW), head=head)
    except UserError:
        raise _about_the_file(spark, files) from None
    if not heads:
        raise UserError(f"{what}: the file is empty; expected at least one line")
    not_blank = rows.where(F.length(F.trim(c.RAW)) > 0)
    decoded = not_blank.withColumn(c.RAW, _decoded(F.col(c.RAW), *encodings))
    return Lines(decoded, heads)


def number_rows(
    frame: DataFrame, payload: Column, source: str = "", head: Column | None = None
) -> tuple[DataFrame, dict[str, str]]:
    """A frame straight from files -> `(source, line, payload)`, lines counted from 1 in each source.

    Args:
        source: a name for all the files as one source (a table), whose rows are numbered through; empty: each file
            is its own.
        head: what to return of the first row of each file, beside the rows.
    """
    placed = frame.select(
        payload,
        F.col("_metadata.file_path").alias(_FILE),
        F.col("_metadata.file_block_start").alias(_BLOCK),
        F.monotonically_increasing_id().alias(_ID),
    )
    counted = [F.min(_ID).alias(_FIRST), F.count(F.lit(1)).alias(_ROWS)]
    if head is not None:
        counted.append(F.min_by(F.when(F.col(_BLOCK) == 0, head), _ID).alias(_HEAD))
    blocks = sorted(placed.groupBy(_FILE, _BLOCK).agg(*counted).collect(), key=lambda row: (row[_FILE], row[_BLOCK]))
    shifts = frame.sparkSession.createDataFrame(
        _shifts(blocks, source), f"{_FILE} string, {_BLOCK} long, {c.SOURCE} string, {_SHIFT} long"
    )
    numbered = placed.join(F.broadcast(shifts), on=[_FILE, _BLOCK], how="left").select(
        c.SOURCE, (F.col(_ID) + _or_fail(_SHIFT)).alias(c.LINE), placed.columns[0]
    )
    first_blocks = [row for row in blocks if head is not None and row[_BLOCK] == 0]
    return numbered, {readable_path(row[_FILE]): row[_HEAD] for row in first_blocks}


def _shifts(blocks: Sequence[Row], source: str) -> list[tuple[str, int, str, int]]:
    """For each block its source, and what to add to a row's id for its line."""
    shifts = []
    for name, own in groupby(blocks, key=lambda row: source or readable_path(row[_FILE])):
        listed = list(own)
        offsets = accumulate((row[_ROWS] for row in listed), initial=0)
        for row, offset in zip(listed, offsets, strict=False):
            shifts.append((row[_FILE], row[_BLOCK], name, offset - row[_FIRST] + 1))
    return shifts


def _or_fail(shift: str) -> Column:
    changed = F.lit("the files changed, or were cut otherwise, between two passes")
    return F.coalesce(F.col(shift), F.raise_error(changed).cast("long"))


def _decoded(raw: Column, encoding: str, otherwise: str = "") -> Column:
    """The line's bytes as text; what fits no encoding becomes U+FFFD, so that the text can always be stored."""
    text = F.decode(raw.cast("binary"), encoding)
    if otherwise:
        text = F.when(text.contains("\ufffd"), F.decode(raw.cast("binary"), otherwise)).otherwise(text)
    return F.when(text.startswith(_BYTE_ORDER_MARK), F.translate(text, _BYTE_ORDER_MARK, "")).otherwise(text)


def _charset(name: str) -> str:
    """An encoding's name as Java knows it too."""
    try:
        known = codecs.lookup(name).name
        keeps_ascii = "a,\n".encode(known) == b"a,\n"
    except (LookupError, UnicodeError):
        raise UserError(f"encoding {name!r} is not known; try UTF-8, ISO-8859-1 or windows-1252") from None
    if not keeps_ascii:
        raise UserError(f"encoding {name!r} cannot be cut into lines; convert the file to UTF-8 first")
    return known


def _about_the_file(spark: SparkSession, files: Sequence[str]) -> UserError:
    """The error about that file which cannot be read; tries each compressed one, for only those can be damaged."""
    for file in [name for name in files if os.path.splitext(name)[1] in _COMPRESSED] or files:
        try:
            spark.read.text(file).count()
        except SparkFailure as error:
            return UserError(f"{shown(file)}: {explanation(error) or 'it cannot be read'}")
    return UserError(f"{shown(files[0])}: it could not be read, but now can; run the job again")
