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

_GROUPING = (c.PART, c.MODEL_VERSION, c.SEGMENT, c.METRIC, c.K)


def summarised(of: Sequence[Measure]) -> Transformer:
    """`measures.user_rows` -> `(part, model_version, segment, metric, k, value, low, high, n)`.

    A figure is `m = sum x / sum y` over n users, y = 1 for a plain mean. Its variance is that of the ratio's
    linear form, `n/(n-1) sum (x - m y)^2 / (sum y)^2` (Cochran, 1977, "Sampling techniques", chapter 6),
    which for a mean is the usual s^2/n; `low` and `high` are m -/+ 1.96 standard errors, cut at the figure's range,
    null for one user. Users whose x or y is null do not count. O(users x figures), reduced before the shuffle to
    a row a segment and figure.
    """

    def summarise(users: DataFrame) -> DataFrame:
        segments = F.when(F.col(c.SEGMENT) == ALL, F.array(c.SEGMENT, USER_SEGMENT)).otherwise(F.array(c.SEGMENT))
        by_segment = users.withColumn(c.SEGMENT, F.explode(F.array_compact(segments)))
        figures = by_segment.select(
            c.PART, c.MODEL_VERSION, c.SEGMENT, F.inline(F.array(*[_figure(measure) for measure in of]))
        )
        sums = figures.where("x IS NOT NULL AND y IS NOT NULL").groupBy(*_GROUPING).agg(*_sums())
        return sums.where("y > 0").select(*_GROUPING, *_estimate())

    return summarise


def covered(ks: Sequence[int]) -> Transformer:
    """`measures.user_rows` of full lists -> the share of the catalogue in anyone's list, in the same columns.

    (Ge, Delgado-Battenfeld and Jannach, 2010, "Beyond accuracy".) It has no interval. One shuffle of the
    listed items, reduced first to each item's best place.
    """
    subject, best = [c.PART, c.MODEL_VERSION], "best_place"

    def cover(users: DataFrame) -> DataFrame:
        lists = users.where(F.col(c.SEGMENT) == ALL)
        places = lists.select(*subject, CATALOGUE, F.posexplode(LISTED).alias(best, c.ITEM_IDX))
        items = places.where(F.col(c.ITEM_IDX) >= 0).groupBy(*subject, CATALOGUE, c.ITEM_IDX)
        in_lists = items.agg(F.min(best).alias(best)).withColumn(c.K, F.explode(F.lit(list(ks))))
        by_k = in_lists.where(F.col(best) < F.col(c.K)).groupBy(*subject, c.K)
        shares = by_k.agg((F.count("*") / F.max(CATALOGUE)).alias(c.VALUE))
        with_n = shares.join(lists.groupBy(*subject).agg(F.count("*").alias(c.N)), on=subject, how="inner")
        named = with_n.withColumns({c.SEGMENT: F.lit(ALL), c.METRIC: F.lit("coverage")})
        without_interval = named.withColumns(dict.fromkeys((c.LOW, c.HIGH), F.lit(None).cast("double")))
        return without_interval.select(*_GROUPING, c.VALUE, c.LOW, c.HIGH, c.N)

    return cover


def _figure(measure: Measure) -> Column:
    return F.struct(
        F.lit(measure.name).alias(c.METRIC),
        F.lit(measure.k).cast("int").alias(c.K),
        F.col(measure.value).alias("x"),
        (F.col(measure.weight) if measure.weight else F.lit(1.0)).alias("y"),
        F.lit(measure.most).cast("double").alias("most"),
    )


def _sums() -> list[Column]:
    x, y = F.col("x"), F.col("y")
    products = {"x": x, "y": y, "xx": x * x, "xy": x * y, "yy": y * y}
    sums = [F.sum(product).alias(name) for name, product in products.items()]
    return [F.count("*").alias(c.N), F.max("most").alias("most"), *sums]


def _estimate() -> list[Column]:
    n, value = F.col(c.N), F.col("x") / F.col("y")
    squares = F.greatest(F.col("xx") - 2 * value * F.col("xy") + value * value * F.col("yy"), F.lit(0.0))
    error = F.sqrt(n / (n - 1) * squares) / F.col("y")
    return [
        value.alias(c.VALUE),
        F.when(n > 1, F.greatest(value - NORMAL_95 * error, F.lit(0.0))).alias(c.LOW),
        # `least` passes over a bound that is null
        F.when(n > 1, F.least(value + NORMAL_95 * error, F.col("most"))).alias(c.HIGH),
        n,
    ]
