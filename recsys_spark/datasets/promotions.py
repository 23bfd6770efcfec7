"""Where a store displayed and advertised each product of Complete Journey, and which products its baskets passed over.

Nobody recorded who saw a display. What is assumed here: whoever was in the store could see all that it carried, displayed or
on the ordinary shelf. Why products are drawn whether promoted or not: docs/adr/0011-what-a-basket-passed-over.md.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.events.fields import FAULT, FIELDS
from recsys_spark.transform import Transformer

PROMOTION: Final = ("product_id", "store_id", "week", "display_location", "mailer_location")
DISPLAY, MAILER, POSITION = "display", "mailer", "position"
SHOWN: Final = "shown"  # whether a row was passed over, and the type of its event

_KEY: Final = ("product_id", "store_id", "week")
_BASKET: Final = ("household_id", "store_id", "basket_id", "transaction_timestamp", "week")
_NOWHERE: Final = "0"  # the data set's own code of a product that is in no display, or in no mailer
_FIRST, _NEW, _PLACE, _PLACES, _RANGE = "_first", "_new", "_place", "_places", "_range"


def with_locations(promotions: DataFrame) -> Transformer:
    """Rows with `fields` -> the same with `display`, `mailer`, and `position`, the two with a `/` between them.

    `0` is a product that was not promoted; null, a store of which no promotion of that week is known. Of several locations
    in a store and week the greatest code counts, so that any stands before none. O(rows + promotions), one shuffle of
    both by product, store and week.

    Args:
        promotions: columns `PROMOTION`.
    """
    found = promotions.groupBy(*_KEY).agg(
        F.max("display_location").alias(DISPLAY), F.max("mailer_location").alias(MAILER)
    )
    told = promotions.select("store_id", "week").distinct().withColumn(_RANGE, F.lit(True))  # as many as stores x weeks

    def locate(rows: DataFrame) -> DataFrame:
        keyed = rows.select("*", *[F.col(f"{FIELDS}.{name}") for name in _KEY])
        joined = keyed.join(found, on=list(_KEY), how="left").join(
            F.broadcast(told), on=["store_id", "week"], how="left"
        )
        display, mailer = (F.when(F.col(_RANGE), F.coalesce(name, F.lit(_NOWHERE))) for name in (DISPLAY, MAILER))
        return joined.select(
            *rows.columns,
            display.alias(DISPLAY),
            mailer.alias(MAILER),
            F.when(F.col(_RANGE), F.concat_ws("/", display, mailer)).alias(POSITION),
        )

    return locate


def with_passed_over(most: int) -> Transformer:
    """Rows with `fields` -> the same with `shown` false, and up to `most` rows a basket with `shown` true.

    Of each basket `most` products are drawn, with replacement, each as likely as any other, from what its store had sold in
    earlier weeks; those drawn twice or in the basket are left out. The draw is a hash of the basket, so a longer file draws
    the same for the baskets of a shorter one. O(rows log rows + baskets x `most`): a shuffle of the products by store, and
    two of what is drawn.
    """

    def draw(rows: DataFrame) -> DataFrame:
        if not most:
            return rows.withColumn(SHOWN, F.lit(False))
        kind = rows.schema[FIELDS].dataType
        assert isinstance(kind, StructType)
        lines = rows.select(c.SOURCE, c.LINE, f"{FIELDS}.*").dropna(subset=[*_BASKET, "product_id"])
        drawn = _drawn(lines, most).select(c.SOURCE, c.LINE, _fields(kind, (*_BASKET, "product_id")))
        passed_over = drawn.select(
            c.SOURCE, c.LINE, F.to_json(FIELDS).alias(c.RAW), F.lit(None).cast("string").alias(FAULT), FIELDS
        )
        return rows.withColumn(SHOWN, F.lit(False)).unionByName(passed_over.withColumn(SHOWN, F.lit(True)))

    return draw


def _drawn(lines: DataFrame, most: int) -> DataFrame:
    """One row a basket and product; `line` is the basket's first."""
    in_order = Window.partitionBy("store_id").orderBy(_FIRST, "product_id")
    sold = lines.groupBy("store_id", "product_id").agg(F.min("week").alias(_FIRST))
    offered = sold.select("store_id", "product_id", (F.row_number().over(in_order) - 1).cast("long").alias(_PLACE))
    # products in the order of their first week: those that a store had sold before a week are its first so many
    by_week = sold.groupBy("store_id", _FIRST).agg(F.count("*").alias(_NEW))
    ranges = by_week.groupBy("store_id").agg(F.collect_list(F.struct(_FIRST, _NEW)).alias(_RANGE))
    places = F.aggregate(
        F.filter(_RANGE, lambda each: each[_FIRST] < F.col("week")),
        F.lit(0).cast("long"),
        lambda total, each: total + each[_NEW],
    )
    baskets = (
        lines.groupBy(c.SOURCE, *_BASKET).agg(F.min(c.LINE).alias(c.LINE)).join(ranges, on="store_id", how="inner")
    )
    sized = baskets.withColumn(_PLACES, places).where(F.col(_PLACES) > 0).drop(_RANGE)
    draws = sized.withColumn(_NEW, F.explode(F.sequence(F.lit(1), F.lit(most))))
    place = F.pmod(F.xxhash64(F.lit(SHOWN), "basket_id", _NEW), F.col(_PLACES))
    chosen = draws.withColumn(_PLACE, place).join(offered, on=["store_id", _PLACE], how="inner")
    different = chosen.select(c.SOURCE, c.LINE, *_BASKET, "product_id").distinct()
    return different.join(lines.select("basket_id", "product_id"), on=["basket_id", "product_id"], how="left_anti")


def _fields(kind: StructType, known: tuple[str, ...]) -> Column:
    """Fields of the type of a purchase's, of which some are known and the others null."""
    values = [F.col(each.name) if each.name in known else F.lit(None).cast(each.dataType) for each in kind]
    return F.struct(*[value.alias(each.name) for value, each in zip(values, kind, strict=True)]).alias(FIELDS)
