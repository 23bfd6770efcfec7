"""Any CSV, JSON lines, Parquet or Delta table, by a mapping of its columns to ours (`ingest.mapping`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.events import times
from recsys_spark.events.columnar import columnar_rows
from recsys_spark.events.drafts import Source, event_drafts, item_drafts, text_or_none, user_drafts
from recsys_spark.events.fields import (
    csv_fields,
    field,
    field_type,
    header_names,
    json_fields,
    numbered_names,
    require_fields,
    without_header,
)
from recsys_spark.events.lines import Lines, read_lines
from recsys_spark.events.source_columns import Shape
from recsys_spark.settings import Ingest, Mapped
from recsys_spark.spark_errors import explained
from recsys_spark.tables import read_outside

_REQUIRED: Final = (c.USER_ID, c.ITEM_ID, c.EVENT_TIME)
_ITEM: Final = (c.ITEM_ID, c.TITLE, c.CATEGORY, c.BRAND, c.PRICE, c.YEAR)
_USER: Final = (c.USER_ID, c.GENDER, c.AGE)
_LINES_TO_LEARN_FROM: Final = 1000


def read(spark: SparkSession, config: Ingest) -> Source:
    """Events from `path`, and attributes from `items_path` and `users_path` where they are given.

    Raises:
        UserError: a key or a column that is missing, or a file of another form.
    """
    mapping = config.mapping
    columns: dict[str, str] = {str(ours): theirs for ours, theirs in mapping.columns.items()}
    _require_keys(columns, _REQUIRED, "columns")
    if mapping.time_unit == "format":
        times.check_format(spark, mapping.time_format)
    keys = config.event_id or [columns[name] for name in (c.EVENT_ID,) if name in columns]
    rows, shape = _rows(spark, mapping, config.path, [*columns.values(), *mapping.context, *keys])
    shapes = {c.EVENTS: shape}
    events = _events(rows, columns, config, keys)
    if mapping.file_format == "delta":
        # a table's files come and go: its rows have an order, but no number that lasts
        events = events.withColumn(c.LINE, F.lit(None).cast("long"))
    items = _items(spark, config, shapes) if config.items_path else None
    users = _users(spark, config, shapes) if config.users_path else None
    # another mapping is another source: it may take another column, or the same one for something else
    mapped_by = hashlib.sha256(mapping.model_dump_json().encode()).hexdigest()[:8]
    named = {f"{what} by mapping {mapped_by}": shape for what, shape in shapes.items()}
    return Source(events, items, users, keyed=bool(keys), shapes=named)


def _events(rows: DataFrame, columns: Mapping[str, str], config: Ingest, keys: list[str]) -> DataFrame:
    mapping = config.mapping
    mapped = {ours: field(rows, theirs) for ours, theirs in columns.items()}
    kind = field_type(rows, columns[c.EVENT_TIME])
    default_type = F.lit(config.event_type)
    return event_drafts(
        rows,
        user_id=mapped[c.USER_ID],
        item_id=mapped[c.ITEM_ID],
        event_time=times.from_typed(mapped[c.EVENT_TIME], kind, mapping.time_unit, mapping.time_format),
        time_text=mapped[c.EVENT_TIME],
        event_type=F.coalesce(text_or_none(mapped.get(c.EVENT_TYPE, default_type)), default_type),
        value=mapped.get(c.EVENT_VALUE),
        context={name: field(rows, name) for name in mapping.context},
        key=[field(rows, name) for name in keys],
    )


def _items(spark: SparkSession, config: Ingest, shapes: dict[str, Shape]) -> DataFrame:
    columns = config.mapping.item_columns
    _require_keys(columns, [c.ITEM_ID], "item_columns")
    rows, shapes[c.ITEMS] = _rows(spark, config.mapping, config.items_path, columns.values())
    known, others = _parted(rows, columns, _ITEM)
    return item_drafts(rows, **known, attributes=others)


def _users(spark: SparkSession, config: Ingest, shapes: dict[str, Shape]) -> DataFrame:
    columns = config.mapping.user_columns
    _require_keys(columns, [c.USER_ID], "user_columns")
    rows, shapes[c.USERS] = _rows(spark, config.mapping, config.users_path, columns.values())
    known, others = _parted(rows, columns, _USER)
    return user_drafts(rows, **known, attributes=others)


def _parted(
    rows: DataFrame, columns: Mapping[str, str], ours: tuple[str, ...]
) -> tuple[dict[str, Column], dict[str, Column]]:
    """The columns that have a place of their own, and those that become attributes."""
    found = {name: field(rows, theirs) for name, theirs in columns.items()}
    known = {name: found.pop(name) for name in ours if name in found}
    return known, found


def _rows(spark: SparkSession, mapping: Mapped, path: str, wanted: Iterable[str]) -> tuple[DataFrame, Shape]:
    """A source of any form -> rows `(source, line, raw, fault, fields)` that have the wanted fields, and all its columns."""
    names = list(dict.fromkeys(wanted))
    if mapping.file_format in {"parquet", "delta"}:
        return _columnar(spark, mapping, path, names)
    lines = read_lines(spark, [path], mapping.encoding)
    if mapping.file_format == "json":
        keys = _json_keys(lines)
        if keys:  # without any, no line is JSON, and each will be rejected for that
            require_fields(names, keys, path)
        outer = dict.fromkeys(name if name in keys else name.partition(".")[0] for name in names)
        return lines.rows.transform(json_fields(list(outer))), Shape.of_texts(keys, names)
    present = (header_names if mapping.header else numbered_names)(lines.heads, mapping.delimiter)
    require_fields(names, present, path)
    rows = lines.rows.transform(without_header) if mapping.header else lines.rows
    return rows.transform(csv_fields(present, mapping.delimiter)), Shape.of_texts(present, names)


def _columnar(spark: SparkSession, mapping: Mapped, path: str, names: list[str]) -> tuple[DataFrame, Shape]:
    with explained(path):
        if mapping.file_format == "parquet":
            frame = spark.read.parquet(path)
        else:
            frame = read_outside(spark, path, "ingest.mapping.file_format")
    require_fields(names, frame.columns, path)
    rows = columnar_rows(frame, names, source=path if mapping.file_format == "delta" else "")
    return rows, Shape.of(frame.schema, names)


def _json_keys(lines: Lines) -> list[str]:
    """The keys that the first lines use; a column that none of them has is taken for a mistake."""
    some = lines.rows.limit(_LINES_TO_LEARN_FROM)
    keys = some.select(F.explode(F.json_object_keys(c.RAW)).alias("key")).distinct()
    return sorted(row["key"] for row in keys.collect())


def _require_keys(columns: Mapping[str, str], needed: Iterable[str], section: str) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UserError(
            f"ingest.mapping.{section} lacks {', '.join(missing)}: name the source's column, "
            f"for example `{missing[0]}: {missing[0]}`"
        )
