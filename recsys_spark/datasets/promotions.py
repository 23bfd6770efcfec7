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
_DRAW, _PLACE, _PLACES, _TOLD = "_draw", "_place", "_places", "_told"


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
    told = promotions.select("store_id", "week").distinct().withColumn(_TOLD, F.lit(True))  # as many as stores x weeks

    def locate(rows: DataFrame) -> DataFrame:
        keyed = rows.select("*", *[F.col(f"{FIELDS}.{name}") for name in _KEY])
        joined = keyed.join(found, on=list(_KEY), how="left").join(
            F.broadcast(told), on=["store_id", "week"], how="left"
        )
        display, mailer = (F.when(F.col(_TOLD), F.coalesce(name, F.lit(_NOWHERE))) for name in (DISPLAY, MAILER))
        return joined.select(
            *rows.columns,
            display.alias(DISPLAY),
            mailer.alias(MAILER),
            F.when(F.col(_TOLD), F.concat_ws("/", display, mailer)).alias(POSITION),
        )

    return locate


def with_passed_over(most: int) -> Transformer:
    """Rows with `fields` -> the same with `shown` false, and up to `most` rows a basket with `shown` true.

    Of each basket `most` products are drawn, with replacement, each as likely as any other, from all that its store sells;
    those drawn twice or in the basket are left out. What a store sells is what the file has of it, in whatever week: every
    purchase is of a product that could be drawn. A draw is a hash of the basket, so the same file draws the same. O(rows log
    rows + baskets x `most`): a shuffle of the products by store, and two of what is drawn.
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
    of_store = Window.partitionBy("store_id")
    offered = lines.select("store_id", "product_id").distinct()
    placed = offered.withColumn(_PLACE, F.row_number().over(of_store.orderBy("product_id")) - 1)
    ranges = offered.groupBy("store_id").agg(F.count("*").alias(_PLACES))
    baskets = (
        lines.groupBy(c.SOURCE, *_BASKET).agg(F.min(c.LINE).alias(c.LINE)).join(ranges, on="store_id", how="inner")
    )
    draws = baskets.withColumn(_DRAW, F.explode(F.sequence(F.lit(1), F.lit(most))))
    place = F.pmod(F.xxhash64(F.lit(SHOWN), "basket_id", _DRAW), F.col(_PLACES)).cast("int")
    chosen = draws.withColumn(_PLACE, place).join(placed, on=["store_id", _PLACE], how="inner")
    different = chosen.select(c.SOURCE, c.LINE, *_BASKET, "product_id").distinct()
    return different.join(lines.select("basket_id", "product_id"), on=["basket_id", "product_id"], how="left_anti")


def _fields(kind: StructType, known: tuple[str, ...]) -> Column:
    """Fields of the type of a purchase's, of which some are known and the others null."""
    values = [F.col(each.name) if each.name in known else F.lit(None).cast(each.dataType) for each in kind]
    return F.struct(*[value.alias(each.name) for value, each in zip(values, kind, strict=True)]).alias(FIELDS)
