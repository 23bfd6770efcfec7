"""Tables that models train on and are measured by."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import ArrayType, BinaryType, FloatType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.features import CONTEXT
from recsys_spark.schemas.table import AS_OF, DOUBLE, FIT, INT, ITEM_IDX, LONG, STRING, USER_IDX, Table, column


def train_examples(negatives: int) -> Table:
    """The pairs table for K negatives: one row a positive and draw, what is known of it, `negative_1..K`, all flat.

    With `examples.positives: events` a pair has a row for each time it was a positive.

    Deletion vectors and column mapping stay off: the feed reads the files themselves.
    """
    value = column(c.VALUE, FloatType(), "latest value of the pair in the parts of the fit, NaN where it has none")
    converted = column(
        c.CONVERTED,
        FloatType(),
        "1 if the pair has an event of examples.conversion_types there, else 0; NaN without such types",
    )
    draw = column(c.DRAW, INT, "which draw of negatives, from 0")
    drawn = [column(c.negative(k), INT, "item_idx of a negative") for k in range(1, negatives + 1)]
    return Table(
        "train_examples",
        "examples",
        StructType([AS_OF, FIT, draw, USER_IDX, ITEM_IDX, value, converted, CONTEXT, *drawn]),
        key=(c.AS_OF_DATE, c.FIT, c.DRAW, c.USER_IDX, c.ITEM_IDX),
        partitioned_by=(c.AS_OF_DATE, c.FIT, c.DRAW),
        read_as_files=True,
    )


TRAIN_SEQUENCES: Final = Table(
    "train_sequences",
    "examples",
    StructType(
        [
            AS_OF,
            FIT,
            USER_IDX,
            column(
                c.WINDOW,
                BinaryType(),
                "a window of the user's items, oldest first, as little-endian int32: -1 in front of short ones",
            ),
            column(c.LENGTH, INT, "how many items the window holds"),
            column(
                c.READ_AT,
                BinaryType(),
                "for each item but the first, the place (from 0) of the latest one of an earlier moment, as little-endian int32: "
                "-1 for none; null without examples.baskets",
            ),
            column(
                c.CONTEXT,
                BinaryType(),
                "the contexts of all but its first item, one after the other; null: none declared",
            ),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX, c.WINDOW),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    read_as_files=True,
)

_SHOWN_AT = column(c.SHOWN_AT, INT, "code of the position: 0 missing, 1 unknown, 2.. by how often it occurs")

TRAIN_IMPRESSIONS: Final = Table(
    "train_impressions",
    "examples",
    StructType(
        [AS_OF, FIT, USER_IDX, ITEM_IDX, column(c.CLICKED, INT, "1 if it counts as positive, else 0"), _SHOWN_AT]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX, c.ITEM_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    read_as_files=True,
)

SHOWN_POSITIONS: Final = Table(
    "shown_positions",
    "examples",
    StructType(
        [
            AS_OF,
            FIT,
            _SHOWN_AT,
            column(c.POSITION, STRING, "what the events call it; null for missing and for unknown ones"),
            column(c.IMPRESSIONS, LONG, "impressions of the fit's parts there"),
            column(c.CLICKS, LONG, "how many of them were clicked"),
            column(
                c.PROPENSITY, DOUBLE, "chance that it is looked at, the best position's being 1; null: not estimated"
            ),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.SHOWN_AT),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
)

EVAL_EXAMPLES: Final = Table(
    "eval_examples",
    "examples",
    StructType(
        [
            AS_OF,
            column(c.PART, STRING, "validation or test"),
            USER_IDX,
            column(c.TARGETS, ArrayType(INT), "items the user took in that part, sorted by item_idx"),
            column(c.VALUES, ArrayType(DOUBLE), "the targets' latest values in that part, null for one without"),
            column(c.CANDIDATES, ArrayType(INT), "negatives to rank the targets among, none of them a target"),
        ]
    ),
    key=(c.AS_OF_DATE, c.PART, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE, c.PART),
    read_as_files=True,
)
