"""Nights for a store, loaded without Spark."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from types import MappingProxyType

from recsys_spark.serving.loading import ItemRow, Keeper, ListRow, Turn
from recsys_spark.serving.store import About, Entry, shard_of

SHARDS = 3
ITEMS = [
    ItemRow(0, "i0", "Café Crème", "Drinks", None, 2.5, None, 7, True),
    ItemRow(1, "i1", "Crème brûlée", "Desserts", "Own", None, 2020, 9, True),
    ItemRow(2, "i2", None, None, None, None, None, 0, True),
    ItemRow(3, "i3", "Cream cheese", None, None, None, None, 20, False),  # in no list
    ItemRow(4, "a/b?c", "Slash", None, None, None, None, 9, True),
]
LISTS = {
    "ann": [
        Entry("i1", 0.5, "model", None),
        Entry("i0", 0.25, "co_occurrence", "i1"),
        Entry("i2", 0.0, "repeat", "i2"),
    ],
    "bob": [Entry("i2", 3.0, "popular_segment", None)],
    "a/b ?%": [Entry("i0", 1.0, "model", None)],
}


def as_kept(entries: Sequence[Entry]) -> str:
    columns = {name: [getattr(entry, name) for entry in entries] for name in Entry._fields}
    return json.dumps(columns)


def load(
    keeper: Keeper,
    name: str,
    lists: Mapping[str, Sequence[Entry]] = LISTS,
    items: Sequence[ItemRow] = ITEMS,
    variant: str = "default",
    day: date = date(2024, 1, 3),
    histories: Mapping[str, str] = {},
    model: Callable[[str], None] | None = None,
    keep: int = 2,
    sheets: Mapping[str, str] = MappingProxyType({}),
    turn: Turn | None = None,
) -> About:
    """Load a night in shards and make it live."""
    about = fill(keeper, name, lists, items, variant, day, histories, model, sheets)
    keeper.go_live(about, keep, turn)
    return about


def fill(
    keeper: Keeper,
    name: str,
    lists: Mapping[str, Sequence[Entry]] = LISTS,
    items: Sequence[ItemRow] = ITEMS,
    variant: str = "default",
    day: date = date(2024, 1, 3),
    histories: Mapping[str, str] = {},
    model: Callable[[str], None] | None = None,
    sheets: Mapping[str, str] = MappingProxyType({}),
) -> About:
    """Load a night in shards, whole and not live."""
    loader = keeper.loader(name)
    if model is not None:
        model(keeper.model_folder(name))
    by_shard: dict[int, list[ListRow]] = {}
    for user_id in sorted(lists):
        row = ListRow(user_id, as_kept(lists[user_id]), histories.get(user_id))
        by_shard.setdefault(shard_of(user_id, SHARDS), []).append(row)
    parts = [loader.add_lists(shard, rows) for shard, rows in by_shard.items()]
    about = About(name, variant, day, f"model of {name}", 1, len(lists))
    for sheet, text in sheets.items():
        keeper.add_sheet(name, sheet, text)
    keeper.finish(about, SHARDS, [*parts, loader.add_items(items)])
    return about
