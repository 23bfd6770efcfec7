"""What may be in whose list, out of the tables and the configuration, and how much each filter takes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns, collect_rows
from recsys_spark.interactions.index import next_index
from recsys_spark.interactions.split import end_of
from recsys_spark.recommend.barring import FOR_EVERYONE, Catalogue
from recsys_spark.recommend.blocks import BLOCKED, RULES, SEEN
from recsys_spark.recommend.rules import mask_of
from recsys_spark.runs import Run
from recsys_spark.schemas import BLOCKED_PAIRS, ITEM_ATTRIBUTES, ITEM_AVAILABILITY, USER_ATTRIBUTES
from recsys_spark.transform import Transformer, conform

_BARRED: Final = "barred"
_AVAILABLE: Final = "available"
_HAS_EVENT: Final = "has_event"
_SEEN_ITEMS: Final = "seen_items"
_BLOCKED_ITEMS: Final = "blocked_items"


def catalogue(run: Run, interactions: DataFrame) -> Catalogue:
    """What bars items at the end of the run's date: no event by then, unavailable, a blocked category, rules.

    One shuffle of the pairs by item, joins of the index of items with the shop's tables; only barred items come to the
    driver.

    Raises:
        UserError: a rule's predicate is not one, see `rules.mask_of`; tables of the shop without the columns they need.
    """
    items = run.tables.read("items").select(c.ITEM_ID, c.ITEM_IDX)
    known = items.join(run.tables.read_or_empty(ITEM_ATTRIBUTES), on=c.ITEM_ID, how="left")
    rules = {rule.name: rule.items for rule in run.config.recommend.filters.rules}
    mask = mask_of(rules, known.drop(c.ITEM_IDX, c.RUN_ID), ITEM_ATTRIBUTES.name)
    marked = known.select(c.ITEM_ID, c.ITEM_IDX, c.CATEGORY, mask.alias(RULES))
    with_events = interactions.select(c.ITEM_IDX).distinct().withColumn(_HAS_EVENT, F.lit(True))
    marked = marked.join(_available(run), on=c.ITEM_ID, how="left").join(with_events, on=c.ITEM_IDX, how="left")
    blocked = F.array(*[F.lit(category) for category in run.config.recommend.filters.blocked_categories])
    why = {
        "without_event": F.col(_HAS_EVENT).isNull(),
        "unavailable": ~F.col(_AVAILABLE),
        "blocked_category": F.arrays_overlap(F.split(c.CATEGORY, r"\|"), blocked.cast("array<string>")),
    }
    bits = [F.when(F.coalesce(holds, F.lit(False)), FOR_EVERYONE[name]).otherwise(0) for name, holds in why.items()]
    marked = marked.select(c.ITEM_IDX, sum(bits, F.lit(0)).alias(_BARRED), RULES)
    return _collected(marked, next_index(items, c.ITEM_IDX), run.config.run.driver_bytes)


def _collected(marked: DataFrame, n_items: int, limit: int) -> Catalogue:
    some = marked.where((F.col(_BARRED) != 0) | (F.col(RULES) != 0)).persist()
    try:
        came = collect_columns(some, [c.ITEM_IDX, _BARRED, RULES], "items that filters are about", limit)
    finally:
        some.unpersist()
    barred, rules = np.zeros(n_items, np.uint8), np.zeros(n_items, np.int64)
    barred[came[c.ITEM_IDX]], rules[came[c.ITEM_IDX]] = came[_BARRED], came[RULES]
    return Catalogue(barred, rules)


def _available(run: Run) -> DataFrame:
    """`(item_id, available)` of the items that the shop has rows of: whether one holds at the end of the date."""
    spans = run.tables.read_or_empty(ITEM_AVAILABILITY)
    spans = spans.transform(conform(ITEM_AVAILABILITY.schema, ITEM_AVAILABILITY.name))
    moment = end_of(run.as_of)
    begun = F.coalesce(F.col(c.AVAILABLE_FROM) <= moment, F.lit(True))
    goes_on = F.coalesce(F.col(c.AVAILABLE_TO) > moment, F.lit(True))
    return spans.groupBy(c.ITEM_ID).agg(F.max(begun & goes_on).alias(_AVAILABLE))


def with_filters(run: Run) -> Transformer:
    """Users -> the same with `rules`, a bit for each that is about the user, and `blocked`, items the user may never have.

    Joins by user, O(users + pairs); nothing is joined where there is neither a rule nor a table of pairs.
    """
    users = run.tables.read("users").select(c.USER_ID, c.USER_IDX)
    rules = {rule.name: rule.users for rule in run.config.recommend.filters.rules}

    def add(eligible: DataFrame) -> DataFrame:
        no_rule, nothing = F.lit(0).cast("long"), F.array().cast("array<int>")
        marked = eligible.withColumn(RULES, no_rule)
        if rules:
            known = users.join(run.tables.read_or_empty(USER_ATTRIBUTES), on=c.USER_ID, how="left")
            mask = mask_of(rules, known.drop(c.USER_IDX, c.RUN_ID), USER_ATTRIBUTES.name)
            masks = known.select(c.USER_IDX, mask.alias(RULES)).where(F.col(RULES) != 0)
            marked = eligible.join(masks, on=c.USER_IDX, how="left").withColumn(RULES, F.coalesce(RULES, no_rule))
        if not run.tables.exists(BLOCKED_PAIRS.name):
            return marked.withColumn(BLOCKED, nothing)
        pairs = run.tables.read(BLOCKED_PAIRS.name).transform(conform(BLOCKED_PAIRS.schema, BLOCKED_PAIRS.name))
        items = F.broadcast(run.tables.read("items").select(c.ITEM_ID, c.ITEM_IDX))
        pairs = pairs.join(users, on=c.USER_ID, how="inner").join(items, on=c.ITEM_ID, how="inner")
        by_user = pairs.groupBy(c.USER_IDX).agg(F.array_sort(F.collect_set(c.ITEM_IDX)).alias(BLOCKED))
        marked = marked.join(by_user, on=c.USER_IDX, how="left")
        return marked.withColumn(BLOCKED, F.coalesce(BLOCKED, nothing))

    return add


@dataclass(frozen=True)
class Effect:
    """Of the eligible users' pairs with the catalogue, how many each filter is about, and what lists there must be.

    A pair that several filters are about counts for each.
    """

    users: int
    with_list: int  # users with an item of what is popular left for sure
    rows: int  # the rows that they have at least
    removed: dict[str, int]


def effect(run: Run, users: DataFrame, known: Catalogue, popular: npt.NDArray[np.int32]) -> Effect:
    """One pass over the users, then arithmetic: O(users + items), no pair is looked at.

    Args:
        users: with `seen`, and as `with_filters` makes them.
        popular: the items that fill lists, seen ones included.
    """
    config = run.config.recommend
    groups = _groups(users, run.config.run.driver_bytes)
    total = sum(group[c.USERS] for group in groups)
    removed = {name: int((known.barred & bit != 0).sum()) * total for name, bit in FOR_EVERYONE.items()}
    for place, rule in enumerate(config.filters.rules):
        about = sum(group[c.USERS] for group in groups if group[RULES] >> place & 1)
        removed[f"rule_{rule.name}"] = int((known.rules >> place & 1).sum()) * about
    removed["blocked_pairs"] = sum(group[c.USERS] * group[_BLOCKED_ITEMS] for group in groups)
    if config.exclude_seen:
        removed[SEEN] = sum(group[_SEEN_ITEMS] for group in groups)
    with_list = rows = 0
    for group in groups:
        left = int((~known.for_mask(group[RULES])[popular]).sum()) - group[_BLOCKED_ITEMS]
        with_list += group[c.USERS] if left > 0 else 0
        rows += group[c.USERS] * max(0, min(config.n, left))
    return Effect(total, with_list, rows, removed)


def _groups(users: DataFrame, limit: int) -> list[Row]:
    """Users by the rules about them and the number of items blocked for them: few rows."""
    by_kind = users.groupBy(RULES, F.size(BLOCKED).alias(_BLOCKED_ITEMS))
    groups = by_kind.agg(F.count("*").alias(c.USERS), F.sum(F.size(SEEN)).alias(_SEEN_ITEMS)).persist()
    try:
        return collect_rows(groups, "users by the filters about them", limit)
    finally:
        groups.unpersist()
