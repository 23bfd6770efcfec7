"""Tables of what is known at a cut: counts, sequences and declared features."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import ArrayType, BinaryType, FloatType, MapType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import (
    AS_OF,
    DOUBLE,
    FIT,
    INT,
    ITEM_IDX,
    LONG,
    STRING,
    TIME,
    USER_IDX,
    Table,
    column,
)

_CODES = column(
    c.CODES, ArrayType(INT), "a place each slot of feature_specs: 0 missing, 1 unknown, 2.. by vocabulary, -1 no value"
)
_NUMBERS = column(c.NUMBERS, ArrayType(FloatType()), "a place each number of feature_specs; NaN where missing")
CONTEXT: Final = column(
    c.CONTEXT,
    BinaryType(),
    "the features declared of the context, codes as little-endian int32, then numbers as float32; null where none are",
)

USER_FEATURES: Final = Table(
    "user_features",
    "features",
    StructType(
        [
            AS_OF,
            FIT,
            USER_IDX,
            column(c.EVENTS, LONG, "events of the user up to the cut"),
            column(c.ITEMS, LONG, "different items among them"),
            column(c.FIRST_TIME, TIME, "first event"),
            column(c.LAST_TIME, TIME, "last event up to the cut"),
            column(c.MEAN_VALUE, DOUBLE, "mean value of the events that have one"),
            column(c.SEGMENT, STRING, "value of recommend.segment for the user; null where unknown"),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
)

ITEM_FEATURES: Final = Table(
    "item_features",
    "features",
    StructType(
        [
            AS_OF,
            FIT,
            ITEM_IDX,
            column(c.EVENTS, LONG, "events of the item up to the cut"),
            column(c.USERS, LONG, "different users among them: its popularity"),
            column(c.FIRST_TIME, TIME, "first event"),
            column(c.LAST_TIME, TIME, "last event up to the cut"),
            column(c.MEAN_VALUE, DOUBLE, "mean value of the events that have one"),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.ITEM_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    read_as_files=True,
)

SEQUENCES: Final = Table(
    "sequences",
    "features",
    StructType(
        [
            AS_OF,
            FIT,
            USER_IDX,
            column(c.ITEMS, ArrayType(INT), "the latest items in time order, repeats kept, oldest first"),
            column(c.TIMES, ArrayType(LONG), "their times, seconds since 1970"),
            column(c.LENGTH, INT, "how many"),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    read_as_files=True,
)

USER_ENCODED: Final = Table(
    "user_encoded",
    "features",
    StructType([AS_OF, FIT, USER_IDX, _CODES, _NUMBERS]),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    read_as_files=True,
)

ITEM_ENCODED: Final = Table(
    "item_encoded",
    "features",
    StructType([AS_OF, FIT, ITEM_IDX, _CODES, _NUMBERS]),
    key=(c.AS_OF_DATE, c.FIT, c.ITEM_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    read_as_files=True,
)

EVENT_CONTEXTS: Final = Table(
    "event_contexts",
    "features",
    StructType(
        [
            AS_OF,
            FIT,
            column(c.PART, STRING, "of the split: train, validation or test"),
            USER_IDX,
            ITEM_IDX,
            column(c.POSITION, INT, "the event's place in the user's history, from 1, oldest first"),
            CONTEXT,
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX, c.POSITION),
    partitioned_by=(c.AS_OF_DATE, c.FIT, c.PART),
    read_as_files=True,
)

FEATURE_SPECS: Final = Table(
    "feature_specs",
    "features",
    StructType(
        [
            AS_OF,
            FIT,
            column(c.FEATURE, STRING, "its name in features.declared"),
            column(c.OF, STRING, "user, item or context"),
            column(c.KIND, STRING, "categorical, multi_hot, dense, text or vector"),
            column(c.POSITION, INT, "place in features.declared, from 0"),
            column(c.FIRST, INT, "its first slot in codes, or its first place in numbers, from 0"),
            column(c.LENGTH, INT, "how many slots or places"),
            column(c.SIZE, INT, "codes it may take: its vocabulary and two; null for numbers"),
            column(c.VOCABULARY, MapType(STRING, INT), "value -> code, from 2; null for numbers"),
            column(c.MEAN, DOUBLE, "mean of a dense feature, after log1p where that is asked"),
            column(c.STD, DOUBLE, "standard deviation of a dense feature, likewise; 0: all alike, not divided by"),
            column(c.IDF, ArrayType(DOUBLE), "weight of each hash bucket of a text feature's words; 0: not learnt"),
            column(
                c.SEED,
                LONG,
                "of the directions that a text feature's weights are projected on: run.seed of the features job",
            ),
            column(c.MISSING, LONG, "entities of the index without a value"),
            column(c.UNKNOWN, LONG, "values outside the vocabulary, or that are no number or text of known words"),
            column(c.LEARNT_FROM, LONG, "entities of the fit's parts with a value: all that is learnt is from them"),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.FEATURE),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
)
