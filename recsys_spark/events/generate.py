"""Made events of any size: each executor makes its own blocks of them from counters, with no shuffle.

Settings under `generate` -> `events` (those whose source is "generated"), `user_attributes`,
`item_attributes`. The same seed and settings make the same rows on any number of partitions; running it again
leaves the same tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.events.made_attributes import make_items, make_users, member_blocks
from recsys_spark.events.made_events import DEVICES, block_count, make_block
from recsys_spark.events.made_population import World
from recsys_spark.events.made_time import midnights
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS, ITEM_ATTRIBUTES, USER_ATTRIBUTES

SOURCE = "generated"

_DIGITS, _ORDER_DIGITS = 8, 12
_EVENT_ROWS = (
    "order long, user long, item long, second long, purchase boolean, spend double, "
    "store long, device long, position long"
)
_USER_ROWS = "number long, gender string, age string, store long, since long"
_ITEM_ROWS = "number long, category string, brand string, price double, year long, since long"

Columns = Mapping[str, Any]


def run(run: Run) -> None:
    """Make the configured events, and the attributes of their users and items.

    Raises:
        UserError: the configured break lies past the last day.
    """
    made = run.config.generate
    if made.drift_day is not None and made.drift_day >= made.days:
        raise UserError(f"generate.drift_day is {made.drift_day}, expected less than generate.days: {made.days}")
    world = World(made, run.seed)
    run.say(f"making {made.events:,} events of {made.users:,} users and {made.items:,} items")
    clock = time.monotonic()
    events = run.tables.replace(EVENTS, made_events(run, world), {c.SOURCE: SOURCE})
    seconds = time.monotonic() - clock
    users = run.tables.upsert_latest(USER_ATTRIBUTES, made_users(run, world), c.VALID_FROM)
    items = run.tables.upsert_latest(ITEM_ATTRIBUTES, made_items(run, world), c.VALID_FROM)
    run.counts |= {"events": events, "user_attributes": users, "item_attributes": items}
    run.notes.append(f"{events / seconds:,.0f} events a second, made and written")


def made_events(run: Run, world: World) -> DataFrame:
    """The rows of `events`, in the order of time within each file."""

    def rows(block: int) -> Columns:
        made = make_block(world, block)
        numbered = {"user": world.users.numbers(made.user), "item": world.items.numbers(made.item)}
        return {**vars(made), **numbered, "second": midnights(world.made, made.day) + made.second}

    bought = F.col("purchase")
    return _blocks(run, block_count(world.made), rows, _EVENT_ROWS).select(
        _identifier("g", "order", _ORDER_DIGITS).alias(c.EVENT_ID),
        _identifier("u", "user").alias(c.USER_ID),
        _identifier("i", "item").alias(c.ITEM_ID),
        F.timestamp_seconds("second").alias(c.EVENT_TIME),
        F.when(bought, "purchase").otherwise("view").alias(c.EVENT_TYPE),
        F.when(bought, F.col("spend")).alias(c.EVENT_VALUE),
        F.col("order").alias(c.EVENT_ORDER),
        _context(world.made.position_bias > 0).alias(c.CONTEXT),
        F.lit(SOURCE).alias(c.SOURCE),
        F.lit(run.run_id).alias(c.RUN_ID),
    )


def made_users(run: Run, world: World) -> DataFrame:
    """The rows of `user_attributes`."""

    def rows(block: int) -> Columns:
        return vars(make_users(world, block))

    return _blocks(run, member_blocks(world.made.users), rows, _USER_ROWS).select(
        _identifier("u", "number").alias(c.USER_ID),
        c.GENDER,
        c.AGE,
        F.create_map(F.lit("store"), _store()).alias(c.ATTRIBUTES),
        F.timestamp_seconds("since").alias(c.VALID_FROM),
        F.lit(run.run_id).alias(c.RUN_ID),
    )


def made_items(run: Run, world: World) -> DataFrame:
    """The rows of `item_attributes`."""

    def rows(block: int) -> Columns:
        return vars(make_items(world, block))

    return _blocks(run, member_blocks(world.made.items), rows, _ITEM_ROWS).select(
        _identifier("i", "number").alias(c.ITEM_ID),
        F.concat_ws(" ", c.BRAND, c.CATEGORY, F.col("number").cast("string")).alias(c.TITLE),
        c.CATEGORY,
        c.BRAND,
        c.PRICE,
        F.col(c.YEAR).cast("int").alias(c.YEAR),
        F.create_map().cast("map<string,string>").alias(c.ATTRIBUTES),
        F.timestamp_seconds("since").alias(c.VALID_FROM),
        F.lit(run.run_id).alias(c.RUN_ID),
    )


def _blocks(run: Run, blocks: int, rows: Callable[[int], Columns], schema: str) -> DataFrame:
    """A frame of blocks of rows, each made where it is written, one at a time in a task."""
    names = [column.split()[0] for column in schema.split(", ")]

    def make(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for block in batch.column(0).to_pylist():
                made = rows(block)
                yield pa.RecordBatch.from_pydict({name: made[name] for name in names})

    partitions = min(run.config.generate.partitions, blocks)
    return run.spark.range(0, blocks, 1, partitions).mapInArrow(make, schema)


def _identifier(letter: str, number: str, digits: int = _DIGITS) -> Column:
    return F.concat(F.lit(letter), F.lpad(F.col(number).cast("string"), digits, "0"))


def _store() -> Column:
    return F.concat(F.lit("store-"), (F.col("store") + 1).cast("string"))


def _context(with_position: bool) -> Column:
    device = F.array(*map(F.lit, DEVICES))[F.col("device").cast("int")]
    where = [F.lit("store"), _store(), F.lit("device"), device]
    if not with_position:
        return F.create_map(*where)
    shown = F.create_map(*where, F.lit("position"), F.col("position").cast("string"))
    return F.when(F.col("position") > 0, shown).otherwise(F.create_map(*where))
