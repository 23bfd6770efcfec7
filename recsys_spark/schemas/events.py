"""Tables of events, and of what sources tell of users and items."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import DOUBLE, INT, LONG, MAP, RUN, STRING, TIME, Table, column

EVENTS: Final = Table(
    "events",
    "ingest",
    StructType(
        [
            column(c.EVENT_ID, STRING, "the source's own key, or a hash of the row and its ordinal among equals"),
            column(c.USER_ID, STRING, "who acted"),
            column(c.ITEM_ID, STRING, "on what"),
            column(c.EVENT_TIME, TIME, "when, UTC; for files without times the line's order, in seconds from 1970"),
            column(c.EVENT_TYPE, STRING, "rating, purchase, view, ..."),
            column(c.EVENT_VALUE, DOUBLE, "rating, quantity or spend; null where the source has none"),
            column(c.EVENT_ORDER, LONG, "line or row number in the source: decides between equal times"),
            column(c.CONTEXT, MAP, "what else was known: store, device, position, ..."),
            column(c.SOURCE, STRING, "the file or table it came from"),
            RUN,
        ]
    ),
    key=(c.EVENT_ID,),
    fenced=True,
)

EVENTS_REJECTED: Final = Table(
    "events_rejected",
    "ingest",
    StructType(
        [
            column(c.RAW, STRING, "the row as it came"),
            column(c.SOURCE, STRING, "the file or table it came from"),
            column(c.LINE, LONG, "its line, from 1, where the format has lines"),
            column(c.REASON, STRING, "why: see RejectReason"),
            column(c.DETAIL, STRING, "the value at fault and what was expected"),
            RUN,
        ]
    ),
    key=(c.SOURCE, c.LINE, c.RAW),
)

USER_ATTRIBUTES: Final = Table(
    "user_attributes",
    "ingest",
    StructType(
        [
            column(c.USER_ID, STRING, "whose"),
            column(c.GENDER, STRING, "as the source says it"),
            column(c.AGE, STRING, "age or age band, as the source says it"),
            column(c.ATTRIBUTES, MAP, "all other attributes, by the source's names"),
            column(c.VALID_FROM, TIME, "when this was known to be so; the latest wins"),
            RUN,
        ]
    ),
    key=(c.USER_ID,),
)

ITEM_ATTRIBUTES: Final = Table(
    "item_attributes",
    "ingest",
    StructType(
        [
            column(c.ITEM_ID, STRING, "of what"),
            column(c.TITLE, STRING, "what to show a person"),
            column(c.CATEGORY, STRING, "category or genres, joined by |"),
            column(c.BRAND, STRING, "brand or maker"),
            column(c.PRICE, DOUBLE, "in the source's own currency"),
            column(c.YEAR, INT, "year of release or launch"),
            column(c.ATTRIBUTES, MAP, "all other attributes, by the source's names"),
            column(c.VALID_FROM, TIME, "when this was known to be so; the latest wins"),
            RUN,
        ]
    ),
    key=(c.ITEM_ID,),
)

SOURCE_COLUMNS: Final = Table(
    "source_columns",
    "ingest",
    StructType(
        [
            column(c.SOURCE, STRING, "data set, what it tells of, and a hash of how it is read"),
            column(c.SOURCE_COLUMN, STRING, "the source's own name; a.b is within a struct"),
            column(c.TYPE, STRING, "its type in Spark, as it was last accepted"),
            column(c.SEEN_AT, TIME, "when it first came with that type"),
            RUN,
        ]
    ),
    key=(c.SOURCE, c.SOURCE_COLUMN),
)
