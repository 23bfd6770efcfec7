"""Figures of users -> rows of metrics: means and ratios with 95% intervals, and what all lists cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.evaluate.measures import ALL, CATALOGUE, LISTED, Measure
from recsys_spark.evaluate.users import USER_SEGMENT
from recsys_spark.transform import Transformer

NORMAL_95: Final = 1.959963984540054


def summarised(of: Sequence[Measure]) -> Transformer:
    """`measures.user_rows` -> `(part, model_version, segment, metric, k, value, low, high, n)`.

    A figure is `m = sum x / sum y` over n users, y = 1 for a plain mean. Its variance is that of the ratio's
    linear form, `n/(n-1) sum (x - m y)^2 / (sum y)^2` (Cochran, 1977, "Sampling techniques", chapter 6), which
    for a mean is the usual s^2/n; `low` and `high` are m -/+ 1.96 standard errors, null for a single user.
    Users whose x or y is null do not count. O(users x figures), reduced before the shuffle to a row a segment
    and figure.
    """
    grouping = [c.PART, c.MODEL_VERSION, c.SEGMENT, c.METRIC, c.K]

    def summarise(users: DataFrame) -> DataFrame:
        segments = F.when(F.col(c.SEGMENT) == ALL, F.array(c.SEGMENT, USER_SEGMENT)).otherwise(
            F.array(c.SEGMENT)
        )
        by_segment = users.withColumn(c.SEGMENT, F.explode(F.array_compact(segments)))
        figures = by_segment.select(
            c.PART, c.MODEL_VERSION, c.SEGMENT, F.inline(F.array(*[_figure(measure) for measure in of]))
        )
        sums = figures.where("x IS NOT NULL AND y IS NOT NULL").groupBy(*grouping).agg(*_sums())
        return sums.where("y > 0").select(*grouping, *_estimate())

    return summarise


def covered(ks: Sequence[int]) -> Transformer:
    """`measures.user_rows` of full lists -> the share of the catalogue in anyone's list, in the same columns.

    (Ge, Delgado-Battenfeld and Jannach, 2010, "Beyond accuracy".) It has no interval. One shuffle of the listed
    items, reduced first to each item's best place.
    """
    subject = [c.PART, c.MODEL_VERSION]

    def cover(users: DataFrame) -> DataFrame:
        lists = users.where(F.col(c.SEGMENT) == ALL)
        places = lists.select(*subject, CATALOGUE, F.posexplode(LISTED).alias("place", c.ITEM_IDX))
        best = (
            places.where(F.col(c.ITEM_IDX) >= 0)
            .groupBy(*subject, CATALOGUE, c.ITEM_IDX)
            .agg(F.min("place").alias("best"))
        )
        items = best.groupBy(*subject).agg(
            *[(F.sum((F.col("best") < k).cast("int")) / F.max(CATALOGUE)).alias(str(k)) for k in ks]
        )
        users_listed = lists.groupBy(*subject).agg(F.count("*").alias(c.N))
        shares = F.inline(
            F.array(*[F.struct(F.lit(k).alias(c.K), F.col(f"`{k}`").alias(c.VALUE)) for k in ks])
        )
        by_k = items.join(users_listed, on=subject, how="inner").select(*subject, c.N, shares)
        none = F.lit(None).cast("double")
        return by_k.select(
            *subject,
            F.lit(ALL).alias(c.SEGMENT),
            F.lit("coverage").alias(c.METRIC),
            c.K,
            c.VALUE,
            none.alias(c.LOW),
            none.alias(c.HIGH),
            c.N,
        )

    return cover


def _figure(measure: Measure) -> Column:
    return F.struct(
        F.lit(measure.name).alias(c.METRIC),
        F.lit(measure.k).cast("int").alias(c.K),
        F.col(measure.value).alias("x"),
        (F.col(measure.weight) if measure.weight else F.lit(1.0)).alias("y"),
    )


def _sums() -> list[Column]:
    x, y = F.col("x"), F.col("y")
    products = {"x": x, "y": y, "xx": x * x, "xy": x * y, "yy": y * y}
    return [F.count("*").alias(c.N), *(F.sum(product).alias(name) for name, product in products.items())]


def _estimate() -> list[Column]:
    n, value = F.col(c.N), F.col("x") / F.col("y")
    squares = F.greatest(F.col("xx") - 2 * value * F.col("xy") + value * value * F.col("yy"), F.lit(0.0))
    error = F.when(n > 1, F.sqrt(n / (n - 1) * squares) / F.col("y"))
    return [
        value.alias(c.VALUE),
        (value - NORMAL_95 * error).alias(c.LOW),
        (value + NORMAL_95 * error).alias(c.HIGH),
        n,
    ]
