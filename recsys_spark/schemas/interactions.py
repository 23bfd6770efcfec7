"""Tables of the dense indices and of the pairs of user and item, and the frame they are counted from."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import BooleanType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, INT, ITEM_IDX, LONG, RUN, STRING, TIME, USER_IDX, Table, column

USERS: Final = Table(
    "users",
    "index",
    StructType([column(c.USER_ID, STRING, "the business's id"), USER_IDX, RUN]),
    key=(c.USER_ID,),
    fenced=True,
)

ITEMS: Final = Table(
    "items",
    "index",
    StructType([column(c.ITEM_ID, STRING, "the business's id"), ITEM_IDX, RUN]),
    key=(c.ITEM_ID,),
    fenced=True,
)

INTERACTIONS: Final = Table(
    "interactions",
    "index",
    StructType(
        [
            AS_OF,
            USER_IDX,
            ITEM_IDX,
            column(c.EVENTS, LONG, "events of the pair up to the date"),
            column(c.POSITIVES, LONG, "those that count as positive"),
            column(c.TRAIN_POSITIVES, LONG, "positives in the train part of the split"),
            column(c.VALIDATION_POSITIVES, LONG, "positives in the validation part"),
            column(c.TEST_POSITIVES, LONG, "positives in the test part"),
            column(c.FIRST_TIME, TIME, "first event of the pair"),
            column(c.LAST_TIME, TIME, "last event of the pair up to the date"),
            column(c.LAST_VALUE, DOUBLE, "value of that last event"),
            column(c.TRAIN_VALUE, DOUBLE, "value of the latest positive of the train part that has one"),
            column(c.VALIDATION_VALUE, DOUBLE, "the same of the validation part"),
            column(c.TEST_VALUE, DOUBLE, "the same of the test part"),
        ]
    ),
    key=(c.AS_OF_DATE, c.USER_IDX, c.ITEM_IDX),
    partitioned_by=(c.AS_OF_DATE,),
    read_as_files=True,
)

# A frame between stages, never a table: one event in dense indices, with the part of the split it fell in.
LABELLED_EVENTS: Final = StructType(
    [
        USER_IDX,
        ITEM_IDX,
        column(c.EVENT_TIME, TIME, "when"),
        column(c.POSITION, INT, "place in the user's history, from 1, oldest first"),
        column(c.EVENT_VALUE, DOUBLE, "value"),
        column(c.POSITIVE, BooleanType(), "whether it counts as positive"),
        column(c.PART, STRING, "train, validation or test"),
    ]
)
