"""Amazon reviews: the 5-core JSON lines, the ratings-only CSV, and product metadata.

The CSV is `user,item,rating,time` without a header, the order of the 2014 release (the 2018 release has the
item first; read it with `ingest.format: mapping`, see docs/data.md). The metadata of 2014 is Python rather than
JSON, with single quotes; it is read all the same. Source:
https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.errors import UserError
from recsys_spark.events import times
from recsys_spark.events.drafts import Source, event_drafts, item_drafts
from recsys_spark.events.fields import csv_fields, field, json_fields, require_fields
from recsys_spark.events.lines import Lines, read_lines
from recsys_spark.settings import Ingest

_REVIEW: Final = ("reviewerID", "asin", "overall", "unixReviewTime")
_PRODUCT: Final = ("asin", "title", "brand", "price", "categories", "category", "main_cat")
_PRICE: Final = r"^\s*\$?\s*([0-9][0-9,]*(?:\.[0-9]+)?)"


def read(spark: SparkSession, config: Ingest) -> Source:
    """Reviews as events, and the products of `items_path` as item attributes.

    Raises:
        UserError: a file that is missing, empty or damaged.
    """
    require_fields(config.event_id, _REVIEW, "ingest.event_id")
    lines = read_lines(spark, [config.path])
    rows = lines.rows.transform(json_fields(_REVIEW) if _is_json(lines) else csv_fields(_REVIEW))
    events = event_drafts(
        rows,
        user_id=field(rows, "reviewerID"),
        item_id=field(rows, "asin"),
        event_time=times.from_epoch(field(rows, "unixReviewTime")),
        time_text=field(rows, "unixReviewTime"),
        event_type=F.lit(config.event_type),
        value=field(rows, "overall"),
        key=[field(rows, name) for name in config.event_id],
    )
    items = _products(spark, config.items_path) if config.items_path else None
    return Source(events, items=items, keyed=bool(config.event_id))


def _is_json(lines: Lines) -> bool:
    """By the file's name, or else by its first line."""
    kinds = {".json" in source or head.lstrip().startswith("{") for source, head in lines.heads.items()}
    if len(kinds) > 1:
        raise UserError(f"{', '.join(sorted(lines.heads)[:4])}: both JSON and CSV; ingest them one by one")
    return kinds.pop()


def _products(spark: SparkSession, path: str) -> DataFrame:
    rows = read_lines(spark, [path]).rows.transform(json_fields(_PRODUCT))
    return item_drafts(
        rows,
        item_id=field(rows, "asin"),
        title=field(rows, "title"),
        category=_category(field(rows, "categories"), field(rows, "category"), field(rows, "main_cat")),
        brand=field(rows, "brand"),
        price=F.regexp_replace(F.regexp_extract(field(rows, "price"), _PRICE, 1), ",", ""),
        attributes={"main_cat": field(rows, "main_cat")},
    )


def _category(paths: Column, path: Column, main: Column) -> Column:
    """Categories from wide to narrow: in 2014 a list of paths, in 2018 one path, or else the main category."""
    of_paths = F.array_distinct(F.flatten(F.from_json(paths, "array<array<string>>")))
    of_path = F.from_json(path, "array<string>")
    joined = [F.when(F.size(found) > 0, F.array_join(found, "|")) for found in (of_paths, of_path)]
    return F.coalesce(*joined, main)
