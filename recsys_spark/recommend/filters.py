"""What may be in whose list, out of the tables and the configuration, and how much each filter takes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns, collect_rows
from recsys_spark.interactions.index import next_index
from recsys_spark.interactions.split import end_of
from recsys_spark.recommend.barring import BY_HISTORY, BY_PAIRS, FOR_EVERYONE, Catalogue
from recsys_spark.recommend.blocks import BLOCKED, RULES, SEEN
from recsys_spark.recommend.rules import mask_of
from recsys_spark.runs import Run
from recsys_spark.schemas import BLOCKED_PAIRS, ITEM_ATTRIBUTES, ITEM_AVAILABILITY, USER_ATTRIBUTES
from recsys_spark.transform import Transformer, conform

_BARRED: Final = "barred"
_HOLDS: Final = "holds"
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
    with_events = interactions.select(c.ITEM_IDX).distinct().withColumn(_HOLDS, F.lit(True))
    marked = items.join(with_events, on=c.ITEM_IDX, how="left").withColumn(RULES, F.lit(0).cast("long"))
    marked = marked.withColumn(_BARRED, F.lit(0)).transform(_barred("without_event", F.col(_HOLDS).isNull()))
    marked = marked.transform(_by_attributes(run)).transform(_by_availability(run))
    names = tuple(rule.name for rule in run.config.recommend.filters.rules)
    return _collected(marked, next_index(items, c.ITEM_IDX), names, run.config.run.driver_bytes)


def _barred(name: str, holds: Column) -> Transformer:
    """Add a bit of `FOR_EVERYONE` where a condition holds; null does not. The column it is read from goes."""
    bit = F.when(F.coalesce(holds, F.lit(False)), FOR_EVERYONE[name]).otherwise(0)
    return lambda items: items.withColumn(_BARRED, F.col(_BARRED) + bit).drop(_HOLDS)


def _by_attributes(run: Run) -> Transformer:
    """Items -> the same with what blocked categories and rules say of them; nothing is read where there are none."""
    filters = run.config.recommend.filters

    def mark(items: DataFrame) -> DataFrame:
        if not filters.rules and not filters.blocked_categories:
            return items
        attributes = run.tables.read_or_empty(ITEM_ATTRIBUTES).drop(c.RUN_ID)
        known = items.select(c.ITEM_ID).join(attributes, on=c.ITEM_ID, how="left")
        mask = mask_of({rule.name: rule.items for rule in filters.rules}, known, ITEM_ATTRIBUTES.name)
        blocked = F.array(*[F.lit(category) for category in filters.blocked_categories]).cast("array<string>")
        holds = F.arrays_overlap(F.split(c.CATEGORY, r"\|"), blocked)
        of_items = known.select(c.ITEM_ID, mask.alias(RULES), holds.alias(_HOLDS))
        marked = items.drop(RULES).join(of_items, on=c.ITEM_ID, how="inner")
        return marked.transform(_barred("blocked_category", F.col(_HOLDS)))

    return mark


def _by_availability(run: Run) -> Transformer:
    """Items -> the same with those barred that the shop has rows of, none of which holds at the end of the date."""
    moment = end_of(run.as_of)
    begun = F.coalesce(F.col(c.AVAILABLE_FROM) <= moment, F.lit(True))
    goes_on = F.coalesce(F.col(c.AVAILABLE_TO) > moment, F.lit(True))

    def mark(items: DataFrame) -> DataFrame:
        if not run.tables.exists(ITEM_AVAILABILITY.name):
            return items
        spans = run.tables.read(ITEM_AVAILABILITY.name).transform(
            conform(ITEM_AVAILABILITY.schema, ITEM_AVAILABILITY.name)
        )
        available = spans.groupBy(c.ITEM_ID).agg(F.max(begun & goes_on).alias(_HOLDS))
        return items.join(available, on=c.ITEM_ID, how="left").transform(_barred("unavailable", ~F.col(_HOLDS)))

    return mark


def _collected(marked: DataFrame, n_items: int, rule_names: tuple[str, ...], limit: int) -> Catalogue:
    some = marked.where((F.col(_BARRED) != 0) | (F.col(RULES) != 0)).persist()
    try:
        came = collect_columns(some, [c.ITEM_IDX, _BARRED, RULES], "items that filters are about", limit)
    finally:
        some.unpersist()
    barred, rules = np.zeros(n_items, np.uint8), np.zeros(n_items, np.int64)
    barred[came[c.ITEM_IDX]], rules[came[c.ITEM_IDX]] = came[_BARRED], came[RULES]
    return Catalogue(barred, rules, rule_names)


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
    for place, name in enumerate(known.rule_names):
        about = sum(group[c.USERS] for group in groups if group[RULES] >> place & 1)
        removed[f"rule_{name}"] = int((known.rules >> place & 1).sum()) * about
    removed[BY_PAIRS] = sum(group[c.USERS] * group[_BLOCKED_ITEMS] for group in groups)
    if config.exclude_seen:
        removed[BY_HISTORY] = sum(group[_SEEN_ITEMS] for group in groups)
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
