"""Attributes of users and items as they are known at a time: one row an id, and only what changed."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.schemas import Table
from recsys_spark.transform import Transformer, conform

_LATEST: Final = "_latest"


def latest_by_id(table: Table, valid_from: int, run_id: str) -> Transformer:
    """Good drafts of attributes -> rows of their table; of several lines about an id the last one wins.

    One shuffle by id, partly aggregated before it.

    Args:
        valid_from: when they were known to be so, microseconds since 1970: the time of the batch's newest event.
    """
    (key,) = table.key
    described = [field.name for field in table.schema if field.name not in {key, c.VALID_FROM, c.RUN_ID}]

    def latest(drafts: DataFrame) -> DataFrame:
        last = F.max_by(F.struct(*described), F.struct(c.SOURCE, c.LINE)).alias(_LATEST)
        return (
            drafts.groupBy(key)
            .agg(last)
            .select(
                key,
                f"{_LATEST}.*",
                F.timestamp_micros(F.lit(valid_from)).alias(c.VALID_FROM),
                F.lit(run_id).alias(c.RUN_ID),
            )
            .transform(conform(table.schema, table.name))
        )

    return latest


def changed(table: Table, stored: DataFrame) -> Transformer:
    """Rows of an attributes table -> those that say something new, so that the same file again changes nothing."""
    (key,) = table.key
    described = [field.name for field in table.schema if field.name != c.RUN_ID]
    known = stored.select(key, _content(described).alias(_LATEST))

    def differing(rows: DataFrame) -> DataFrame:
        same = [key, _LATEST]
        return rows.withColumn(_LATEST, _content(described)).join(known, on=same, how="left_anti").drop(_LATEST)

    return differing


def _content(names: list[str]) -> Column:
    """A row's columns as canonical JSON: a map cannot be compared, its sorted entries can."""
    return F.to_json(
        F.struct(*[F.array_sort(F.map_entries(n)).alias(n) if n == c.ATTRIBUTES else F.col(n) for n in names])
    )
