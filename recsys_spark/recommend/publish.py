"""From lists in indices to the published table, and what must hold before it is."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.recommend.lists import REASON_ITEM
from recsys_spark.recommend.reasons import BITS, POPULAR
from recsys_spark.runs import Run
from recsys_spark.schemas import RECOMMENDATIONS, RECOMMENDATIONS_CURRENT
from recsys_spark.transform import Transformer, conform


def recommendations(
    as_of: date, variant: str, model_version: str, run_id: str, users: DataFrame, items: DataFrame
) -> Transformer:
    """Lists -> `schemas.RECOMMENDATIONS`: business ids, and all columns of the contract."""

    def to_rows(lists: DataFrame) -> DataFrame:
        named = lists.join(users.select(c.USER_IDX, c.USER_ID), on=c.USER_IDX, how="inner")
        named = named.join(F.broadcast(items.select(c.ITEM_IDX, c.ITEM_ID)), on=c.ITEM_IDX, how="inner")
        told = items.select(F.col(c.ITEM_IDX).alias(REASON_ITEM), F.col(c.ITEM_ID).alias(c.REASON_ITEM_ID))
        named = named.join(F.broadcast(told), on=REASON_ITEM, how="left")
        names = [F.when(F.col(c.SOURCES).bitwiseAND(bit) != 0, F.lit(name)) for name, bit in BITS.items()]
        return named.select(
            F.lit(as_of).alias(c.AS_OF_DATE),
            F.lit(variant).alias(c.VARIANT),
            c.USER_ID,
            c.RANK,
            c.ITEM_ID,
            c.SCORE,
            c.REASON_CODE,
            c.REASON_ITEM_ID,
            F.array_compact(F.array(*names)).alias(c.SOURCES),
            c.PROPENSITY,
            F.lit(model_version).alias(c.MODEL_VERSION),
            F.lit(run_id).alias(c.RUN_ID),
        ).transform(conform(RECOMMENDATIONS.schema, RECOMMENDATIONS.name))

    return to_rows


def live_lists(run: Run) -> DataFrame:
    """The published lists of the run's variant; no rows where none are."""
    return run.tables.read_or_empty(RECOMMENDATIONS_CURRENT).where(F.col(c.VARIANT) == run.config.recommend.variant)


def is_fallback() -> Column:
    """Whether a published row is popularity, for want of anything better, whatever its reason."""
    return F.coalesce(F.array_contains(c.SOURCES, POPULAR), F.lit(False))


def problems(rows: DataFrame, n: int, users: int) -> list[str]:
    """What is wrong with a slice that should hold up to `n` rows for each of `users` users or more; empty when nothing is.

    One aggregation by user: ranks 1..k with k up to N, no item twice, nothing null, scores finite. That lists are no shorter
    than filters make them is seen from the number of rows, where they are written.
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
    different = (F.col("items") == F.col("rows")) & (F.col("ranks") == F.col("rows"))
    whole = different & (F.col("first") == 1) & (F.col("last") == F.col("rows")) & (F.col("rows") <= n)
    found = lists.agg(
        F.count("*").alias("users"),
        F.sum((~whole).cast("int")).alias("broken"),
        F.sum("unusable").alias("unusable"),
    ).head()
    assert found is not None
    checks = {
        f"{found['users']:,} users have a list, expected {users:,}": found["users"] < users,
        f"{found['broken']} lists are not {n} different items or fewer, ranked from 1 without a gap": bool(
            found["broken"]
        ),
        f"{found['unusable']} rows have no item or no finite score": bool(found["unusable"]),
    }
    return [problem for problem, failed in checks.items() if failed]
