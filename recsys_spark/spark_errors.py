"""What Spark says of a mistake in the input, in words that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from recsys_spark.errors import UserError

SparkFailure: Final = (PySparkException, Py4JJavaError)

# What to look for in Spark's message and stack trace, and what to say instead; the first that is found counts.
# Patterns name the message rather than the exception: a Python worker that dies raises an EOFException as well.
_CAUSES: Final = (
    (r"\[PATH_NOT_FOUND\]", "nothing matches this path; check its spelling, or where the job runs"),
    (r"No FileSystem for scheme", "Spark has no driver for such paths; add its package to the cluster"),
    (r"[Uu]nexpected end of (input |ZLIB input )?stream", "the compressed file is cut short; fetch it again"),
    (
        r"not a gzip file|ZipException|DataFormatException|incorrect (header|data|length) check"
        r"|invalid (stored|distance|block|code|bit)",
        "the compressed file is damaged, or is not compressed at all; fetch it again, or drop the ending .gz",
    ),
    (
        r"Illegal Parquet type: INT64 \(TIMESTAMP\(NANOS",
        "the file counts time in nanoseconds; set ingest.mapping.time_unit=ns",
    ),
    (
        r"Parquet column cannot be converted",
        "a column has another type here than in the other files, or than the file itself says; write it anew with theirs",
    ),
    (r"\[UNABLE_TO_INFER_SCHEMA\]", "no Parquet files here; check the path and ingest.mapping.file_format"),
    (
        r"is not a Parquet file|CANNOT_READ_FILE_FOOTER|Could not read footer|could not decode"
        r"|FAILED_TO_UNCOMPRESS|ParquetDecodingException",
        "not a Parquet file that can be read; fetch it again, or check ingest.mapping.file_format",
    ),
    (r"Permission denied|AccessControlException|AccessDenied", "this user may not read it"),
    (r"FileNotFoundException|the files changed", "it changed while it was read; run the job again"),
)
_FILE: Final = re.compile(
    r"(?:reading file|converted in file|footer for file:?|Path does not exist:) (?:FileStatus\{path=)?([^\s;,]+)"
)
_TASK_LOGGERS: Final = (
    "org.apache.spark.executor.Executor",
    "org.apache.spark.scheduler.TaskSetManager",
    "org.apache.spark.storage.BlockManager",
    "org.apache.spark.storage.DiskBlockObjectWriter",
)
_BARE_FILE: Final = re.compile(r"(\S+) is not a Parquet file")


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn Spark's failures over the input into a `UserError`; every other failure passes as it is.

    Args:
        what: the input, for the message; a file that Spark names itself takes its place.

    Raises:
        UserError: the input is missing, damaged or of another format; it names the file and what to do.
    """
    try:
        yield
    except SparkFailure as error:
        words = explanation(error)
        if words is None:
            raise
        raise UserError(f"{_file_named(str(error)) or what}: {words}") from error


@contextmanager
def quiet(spark: SparkSession) -> Iterator[None]:
    """Failures of tasks are not logged within, where they are about to be said in words; they are still raised."""
    log4j = spark.sparkContext._jvm.org.apache.logging.log4j  # type: ignore[union-attr]
    before = {name: log4j.LogManager.getLogger(name).getLevel() for name in _TASK_LOGGERS}
    try:
        for name in before:
            log4j.core.config.Configurator.setLevel(name, log4j.Level.OFF)
        yield
    finally:
        for name, level in before.items():
            log4j.core.config.Configurator.setLevel(name, level)


def explanation(error: Exception) -> str | None:
    """What went wrong with the input, or None where the failure is of another kind."""
    text = str(error)
    return next((words for pattern, words in _CAUSES if re.search(pattern, text)), None)


def readable_path(uri: str) -> str:
    """A file's URI as a person writes it: local ones as plain paths, nothing percent-encoded."""
    return shown(unquote(uri))


def shown(address: str) -> str:
    """An address without the scheme of local files."""
    return re.sub(r"^file:/+", "/", address)


def _file_named(text: str) -> str | None:
    found = _FILE.search(text) or _BARE_FILE.search(text)
    return readable_path(found[1].rstrip(".")) if found else None
