"""Parquet files and Delta tables as numbered rows with `fields`, like lines that were cut; their raw form is JSON."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.events.fields import FAULT, FIELDS
from recsys_spark.events.lines import number_rows


def columnar_rows(frame: DataFrame, names: Sequence[str], source: str = "") -> DataFrame:
    """A frame straight from files -> `(source, line, raw, fault, fields)` of the named columns alone.

    Args:
        source: one name for all the files, see `number_rows`.
    """
    outer = list(dict.fromkeys(name if name in frame.columns else name.partition(".")[0] for name in names))
    fields = F.struct(*[F.col(f"`{name}`") for name in outer]).alias(FIELDS)
    rows, _ = number_rows(frame, fields, source)
    return rows.select(
        c.SOURCE, c.LINE, F.to_json(FIELDS).alias(c.RAW), F.lit(None).cast("string").alias(FAULT), FIELDS
    )
