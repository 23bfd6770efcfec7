"""From lists in indices to the published table, and what must hold before it is."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.recommend.lists import BY_MODEL, REPEAT
from recsys_spark.schemas import RECOMMENDATIONS
from recsys_spark.transform import Transformer, conform


def recommendations(
    as_of: date, variant: str, model_version: str, run_id: str, users: DataFrame, items: DataFrame
) -> Transformer:
    """Lists -> `schemas.RECOMMENDATIONS`: business ids, and all columns of the contract."""

    def to_rows(lists: DataFrame) -> DataFrame:
        named = lists.join(users.select(c.USER_IDX, c.USER_ID), on=c.USER_IDX, how="inner")
        named = named.join(F.broadcast(items.select(c.ITEM_IDX, c.ITEM_ID)), on=c.ITEM_IDX, how="inner")
        from_model = F.col(c.REASON_CODE).isin(BY_MODEL, REPEAT)
        return named.select(
            F.lit(as_of).alias(c.AS_OF_DATE),
            F.lit(variant).alias(c.VARIANT),
            c.USER_ID,
            c.RANK,
            c.ITEM_ID,
            c.SCORE,
            c.REASON_CODE,
            F.lit(None).cast("string").alias(c.REASON_ITEM_ID),
            F.array(F.when(from_model, F.lit("model")).otherwise(F.lit("popular"))).alias(c.SOURCES),
            F.lit(1.0).alias(c.PROPENSITY),
            F.lit(model_version).alias(c.MODEL_VERSION),
            F.lit(run_id).alias(c.RUN_ID),
        ).transform(conform(RECOMMENDATIONS.schema, RECOMMENDATIONS.name))

    return to_rows


def problems(rows: DataFrame, n: int, users: int) -> list[str]:
    """What is wrong with a slice that should hold `n` rows for each of `users` users; empty when nothing is.

    One aggregation by user: N rows, ranks 1..N, no item twice, nothing null, scores finite.
    """
    unusable = F.col(c.ITEM_ID).isNull() | F.col(c.SCORE).isNull() | F.isnan(c.SCORE) | (F.abs(c.SCORE) == float("inf"))
    lists = rows.groupBy(c.USER_ID).agg(
        F.count("*").alias("rows"),
        F.countDistinct(c.ITEM_ID).alias("items"),
        F.countDistinct(c.RANK).alias("ranks"),
        F.min(c.RANK).alias("first"),
        F.max(c.RANK).alias("last"),
        F.sum(unusable.cast("int")).alias("unusable"),
    )
    whole = (F.col("rows") == n) & (F.col("items") == n) & (F.col("ranks") == n)
    whole &= (F.col("first") == 1) & (F.col("last") == n)
    found = lists.agg(
        F.count("*").alias("users"),
        F.sum((~whole).cast("int")).alias("broken"),
        F.sum("unusable").alias("unusable"),
    ).head()
    assert found is not None
    checks = {
        f"{found['users']:,} users have a list, expected {users:,}": found["users"] != users,
        f"{found['broken']} lists are not {n} different items ranked 1..{n}": bool(found["broken"]),
        f"{found['unusable']} rows have no item or no finite score": bool(found["unusable"]),
    }
    return [problem for problem, failed in checks.items() if failed]
