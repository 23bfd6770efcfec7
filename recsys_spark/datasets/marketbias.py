"""The MarketBias CSVs (Wan, Ni, Misra and McAuley, WSDM 2020): Electronics, and ModCloth with its extra columns.

Header: `item_id,user_id,rating,timestamp,model_attr,category,brand,year,user_attr,split`. Each row repeats
what is known of its user and its item, so that the one file gives all three tables. Source:
https://github.com/MengtingWan/marketBias.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.events import times
from recsys_spark.events.drafts import Source, event_drafts, item_drafts, text_or_none, user_drafts
from recsys_spark.events.fields import FAULT, csv_fields, field, header_names, require_fields, without_header
from recsys_spark.events.lines import read_lines
from recsys_spark.settings import Ingest

_REQUIRED: Final = (
    "item_id", "user_id", "rating", "timestamp", "model_attr", "category", "brand", "year", "user_attr",
    "split",
)  # fmt: skip
_GENDERS: Final = ("Female", "Male")


def read(spark: SparkSession, config: Ingest) -> Source:
    """Ratings, and the attributes that stand in the same rows.

    Raises:
        UserError: a column is missing.
    """
    lines = read_lines(spark, [config.path])
    names = header_names(lines.heads, ",")
    require_fields([*_REQUIRED, *config.event_id], names, config.path)
    rows = lines.rows.transform(without_header).transform(csv_fields(names))
    return Source(_events(rows, config), items=_items(rows), users=_users(rows), keyed=bool(config.event_id))


def _events(rows: DataFrame, config: Ingest) -> DataFrame:
    return event_drafts(
        rows,
        user_id=field(rows, "user_id"),
        item_id=field(rows, "item_id"),
        event_time=times.from_text(field(rows, "timestamp")),
        time_text=field(rows, "timestamp"),
        event_type=F.lit(config.event_type),
        value=field(rows, "rating"),
        context={"split": field(rows, "split")},
        key=[field(rows, name) for name in config.event_id],
    )


def _items(rows: DataFrame) -> DataFrame:
    return item_drafts(
        _described(rows, "item_id"),
        item_id=field(rows, "item_id"),
        category=field(rows, "category"),
        brand=field(rows, "brand"),
        year=field(rows, "year"),
        attributes={"model_attr": field(rows, "model_attr")},
    )


def _users(rows: DataFrame) -> DataFrame:
    # ModCloth's user_attr is a size; Electronics' is the gender
    return user_drafts(
        _described(rows, "user_id"),
        user_id=field(rows, "user_id"),
        gender=F.when(field(rows, "user_attr").isin(*_GENDERS), field(rows, "user_attr")),
        attributes={"user_attr": field(rows, "user_attr")},
    )


def _described(rows: DataFrame, id_name: str) -> DataFrame:
    """The rows that describe anyone; the others are rejected once, as events."""
    return rows.where(F.col(FAULT).isNull() & text_or_none(field(rows, id_name)).isNotNull())
