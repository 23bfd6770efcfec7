"""Small source files, and what is read from them."""

from __future__ import annotations

import gzip
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config import load_config
from recsys_spark.datasets import open_source
from recsys_spark.events.drafts import Source


def write(path: Path, content: str | bytes) -> str:
    """Write a file, gzipped where its name says so, and return its path."""
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return str(path)


def opened(spark: SparkSession, *settings: str) -> Source:
    """What a reader makes of its settings (the keys below `ingest`)."""
    return open_source(spark, load_config(settings=[f"ingest.{setting}" for setting in settings]).ingest)


def rows(frame: DataFrame | None, *expressions: str) -> list[tuple]:
    """A frame's rows as tuples, in the order of their lines; times as text."""
    assert frame is not None
    return [tuple(row) for row in frame.orderBy("source", "line").selectExpr(*expressions).collect()]
