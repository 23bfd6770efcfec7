"""Rows of a source in the project's own words, before anyone judged them: the one shape that all readers give.

A draft has the columns of its table and, beside them, what a judgement needs: the row as it came, why it could not be
cut into fields, and the texts that time and value were read from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.events.fields import FAULT
from recsys_spark.events.source_columns import Shape

TIME_TEXT: Final = "time_text"
VALUE_TEXT: Final = "value_text"

_ORIGIN: Final = (c.SOURCE, c.LINE, c.RAW, FAULT)


@dataclass(frozen=True)
class Source:
    """What a reader found: drafts of events, and of item and user attributes where the source has them.

    Args:
        keyed: events bring their own `event_id`; otherwise it is null, to be made of their content.
        shapes: the columns that were found, of readers that take them as they come, see `source_columns.hold`.
    """

    events: DataFrame
    items: DataFrame | None = None
    users: DataFrame | None = None
    keyed: bool = False
    shapes: Mapping[str, Shape] = field(default_factory=dict)


def event_drafts(
    rows: DataFrame,
    *,
    user_id: Column,
    item_id: Column,
    event_time: Column,
    time_text: Column,
    event_type: Column,
    value: Column | None = None,
    context: Mapping[str, Column] | None = None,
    key: Sequence[Column] = (),
) -> DataFrame:
    """Drafts of events from rows `(source, line, raw, fault, ...)`.

    Args:
        time_text: what the time was read from, for the message where it is none.
        value: a blank one means that the source has none; one that is no number is left to the judgement.
        key: the columns that identify an event; none: `event_id` is null, to be hashed from the content.
    """
    value_text = _text(value)
    return rows.select(
        *_ORIGIN,
        _event_id(key).alias(c.EVENT_ID),
        _text(user_id).alias(c.USER_ID),
        _text(item_id).alias(c.ITEM_ID),
        event_time.alias(c.EVENT_TIME),
        time_text.cast("string").alias(TIME_TEXT),
        event_type.alias(c.EVENT_TYPE),
        value_text.cast("double").alias(c.EVENT_VALUE),
        value_text.alias(VALUE_TEXT),
        F.col(c.LINE).alias(c.EVENT_ORDER),
        _text_map(context or {}).alias(c.CONTEXT),
    )


def item_drafts(
    rows: DataFrame,
    *,
    item_id: Column,
    title: Column | None = None,
    category: Column | None = None,
    brand: Column | None = None,
    price: Column | None = None,
    year: Column | None = None,
    attributes: Mapping[str, Column] | None = None,
) -> DataFrame:
    """Drafts of item attributes from rows `(source, line, raw, fault, ...)`; `attributes` takes all other columns."""
    return rows.select(
        *_ORIGIN,
        _text(item_id).alias(c.ITEM_ID),
        _text(title).alias(c.TITLE),
        _text(category).alias(c.CATEGORY),
        _text(brand).alias(c.BRAND),
        _text(price).cast("double").alias(c.PRICE),
        _text(year).cast("double").cast("int").alias(c.YEAR),
        _text_map(attributes or {}).alias(c.ATTRIBUTES),
    )


def user_drafts(
    rows: DataFrame,
    *,
    user_id: Column,
    gender: Column | None = None,
    age: Column | None = None,
    attributes: Mapping[str, Column] | None = None,
) -> DataFrame:
    """Drafts of user attributes from rows `(source, line, raw, fault, ...)`; `attributes` takes all other columns."""
    return rows.select(
        *_ORIGIN,
        _text(user_id).alias(c.USER_ID),
        _text(gender).alias(c.GENDER),
        _text(age).alias(c.AGE),
        _text_map(attributes or {}).alias(c.ATTRIBUTES),
    )


def trimmed(text: Column) -> Column:
    """A text without blanks and tabs around it."""
    return F.btrim(text, F.lit(" \t\r"))


def text_or_none(column: Column) -> Column:
    """A value as trimmed text; null where nothing is left."""
    text = trimmed(column.cast("string"))
    return F.when(text != "", text)


def _text(column: Column | None) -> Column:
    return F.lit(None).cast("string") if column is None else text_or_none(column)


def _text_map(entries: Mapping[str, Column]) -> Column:
    """The entries that have a value, in the order of their names, so that equal maps are equal; null where none has."""
    pairs = [part for name in sorted(entries) for part in (F.lit(name), text_or_none(entries[name]))]
    if not pairs:
        return F.lit(None).cast("map<string,string>")
    known = F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())
    return F.when(F.size(known) > 0, known)


def _event_id(key: Sequence[Column]) -> Column:
    """One key column as it is; several as a JSON array, so that no two keys run into one. Null where one is blank."""
    parts = [text_or_none(column) for column in key]
    if len(parts) < 2:
        return _text(*key) if key else _text(None)
    whole = F.to_json(F.array(*parts))
    return F.when(F.forall(F.array(*parts), lambda part: part.isNotNull()), whole)
