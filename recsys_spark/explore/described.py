"""Users and items with events, beside what is known of them: events by demographic and by category."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.explore.entries import UNKNOWN, Entry, entries
from recsys_spark.explore.groups import largest
from recsys_spark.explore.passes import TEST, TRAIN
from recsys_spark.transform import user_attribute

ITEM_COLUMNS: Final = (c.TITLE, c.CATEGORY, c.BRAND, c.PRICE, c.YEAR)


def attribute(name: str) -> Column:
    """An attribute of users by its name, a column of its own or a key of the map; blank is not known."""
    return F.coalesce(F.nullif(F.trim(user_attribute(name)), F.lit("")), F.lit(UNKNOWN))


def categories() -> Column:
    """The categories of an item, at least one, each once."""
    parts = F.array_distinct(F.split(F.coalesce(F.nullif(F.trim(c.CATEGORY), F.lit("")), F.lit(UNKNOWN)), r"\|"))
    return F.explode(parts)


def by_attribute(users: DataFrame, name: str) -> DataFrame:
    """Users with their attributes -> `(label, events, users, train, test)`, a row a value of the attribute."""
    return users.groupBy(attribute(name).alias(c.LABEL)).agg(*_sums(), F.count("*").alias(c.USERS))


def by_category(items: DataFrame) -> DataFrame:
    """Items with their attributes -> `(label, events, items, train, test)`; an item of several categories is in each."""
    exploded = items.withColumn(c.LABEL, categories())
    return exploded.groupBy(c.LABEL).agg(*_sums(), F.count("*").alias(c.ITEMS))


def of_attribute(counted: DataFrame, name: str, top: int, limit: int) -> list[Entry]:
    """The values of one attribute with most events; none where no user has one."""
    return _known("users_by", name, counted, [c.EVENTS, c.USERS], top, limit)


def of_categories(counted: DataFrame, top: int, limit: int) -> list[Entry]:
    """The categories with most events; none where no item has one."""
    return _known("categories", "", counted, [c.EVENTS, c.ITEMS], top, limit)


def _known(picture: str, series: str, counted: DataFrame, measures: list[str], top: int, limit: int) -> list[Entry]:
    found = largest(counted, measures, top, limit)
    return entries(picture, series, found) if found.keys() - {UNKNOWN} else []


def _sums() -> list[Column]:
    return [F.sum(name).alias(name) for name in (c.EVENTS, TRAIN, TEST)]
