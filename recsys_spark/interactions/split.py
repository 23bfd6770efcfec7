"""Which part of the split an event falls in: train, validation or test, cut by each user's order, by time or by chance.

Events of a user are ordered by (event_time, event_order, event_id), so that ties fall the same way every time. An event
is never in an earlier part than one before it, except for pairs that are set apart wherever they stand, those of a given
test and of cold users and items, and under a random split, whose parts know no order: a test event may be older than any
of train.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DoubleType,
    IntegerType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.interactions.places import held_out, positions
from recsys_spark.schemas import LABELLED_EVENTS
from recsys_spark.settings import Fit, Interactions, Split
from recsys_spark.transform import Transformer, conform
from recsys_spark.whole_users import map_whole_users

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"

PARTS_OF_FIT: Final[Mapping[Fit, tuple[str, ...]]] = {
    "evaluate": (TRAIN,),
    "refit": (TRAIN, VALIDATION),
    "production": (TRAIN, VALIDATION, TEST),
}

_HELD_OUT_PARTS: Final = {
    "leave_last_one": (TEST,),
    "leave_last_two": (TEST, VALIDATION),
    "given": (VALIDATION,),
}

_OF_SPLIT: Final = "split"  # hashed along, or the parts would depend on other draws by (seed, user, item)
_COLD: Final = "cold"  # likewise, with the name of the id's column
_HASH_STEPS: Final = 1 << 30

_SET_APART = "set_apart"  # the part that a pair belongs to wherever it stands, null for those that the split cuts
_NTH_LAST = "nth_last"
_CARRIED = (c.USER_IDX, c.ITEM_IDX, c.EVENT_TIME, c.EVENT_VALUE, c.POSITIVE, _SET_APART)
_PLACED = StructType(  # what is carried, and the places
    [
        StructField(c.USER_IDX, IntegerType()),
        StructField(c.ITEM_IDX, IntegerType()),
        StructField(c.EVENT_TIME, TimestampType()),
        StructField(c.EVENT_VALUE, DoubleType()),
        StructField(c.POSITIVE, BooleanType()),
        StructField(_SET_APART, StringType()),
        StructField(c.POSITION, IntegerType()),
        StructField(_NTH_LAST, ByteType()),
    ]
)


def until(as_of: date) -> Column:
    """The condition that an event is known by the end of the day `as_of` (UTC)."""
    return F.col(c.EVENT_TIME) < end_of(as_of)


def end_of(day: date) -> Column:
    """The moment at which a day (UTC) ends and the next begins."""
    return F.lit(_midnight(day + timedelta(days=1)))


def in_parts(fit: Fit) -> Column:
    """The condition that an event is in the parts that a fit trains on."""
    return F.col(c.PART).isin(*PARTS_OF_FIT[fit])


def indexed(users: DataFrame, items: DataFrame) -> Transformer:
    """Events -> the same events with their dense indices; both indices must hold every id."""

    def join(events: DataFrame) -> DataFrame:
        by_user = events.join(users.select(c.USER_ID, c.USER_IDX), on=c.USER_ID, how="inner")
        return by_user.join(items.select(c.ITEM_ID, c.ITEM_IDX), on=c.ITEM_ID, how="inner")

    return join


def positive(config: Interactions) -> Transformer:
    """Events -> events with the boolean `positive`: of a type that counts, and of a value that is high enough."""
    condition = F.lit(True)
    if config.positive_types:
        condition &= F.col(c.EVENT_TYPE).isin(*config.positive_types)
    if config.positive_min_value is not None:
        condition &= F.col(c.EVENT_VALUE) >= config.positive_min_value
    return lambda events: events.withColumn(c.POSITIVE, F.coalesce(condition, F.lit(False)))


def labelled(
    config: Split, as_of: date, seed: int, given_test: DataFrame | None = None, carried: Sequence[str] = ()
) -> Transformer:
    """Indexed events with `positive` -> `schemas.LABELLED_EVENTS`, and the text columns `carried` behind them.

    One shuffle by user and a sort within it, then numpy over whole users: O(n log h) for histories of length h, memory one
    batch and one user's history; nothing is taken over all users.

    Args:
        seed: what a random split, and cold users and items, are drawn from; the other kinds draw nothing.
        given_test: `(user_idx, item_idx)` pairs that are the test, for `kind: given`.

    Raises:
        UserError: `kind: given` without its pairs or with cold shares, or `kind: random` with shares that leave nothing to
            train on.
    """
    _check(config)

    def label(events: DataFrame) -> DataFrame:
        given = config.kind == "given"
        marked = _with_given(events, given_test) if given else _with_cold(events, config, seed)
        parts = _HELD_OUT_PARTS.get(config.kind, ())
        place = _placer(len(parts), repeats=config.repeats and not given)
        placed_schema = StructType([*texts, *_PLACED])
        columns = len(texts) + len(_CARRIED)
        in_order = map_whole_users(place, placed_schema, c.EVENT_TIME, c.EVENT_ORDER, c.EVENT_ID, columns=columns)
        placed = marked.select(*carried, *_CARRIED, c.EVENT_ORDER, c.EVENT_ID).transform(in_order)
        cut = _part(parts)
        if config.kind in ("time", "random"):
            cut = _part_by_time(config, as_of) if config.kind == "time" else _part_by_pair(config, seed)
        return placed.withColumn(c.PART, F.coalesce(_SET_APART, cut))

    texts = [StructField(name, StringType()) for name in carried]
    return lambda events: label(events).transform(conform(StructType([*LABELLED_EVENTS, *texts]), "labelled events"))


def _check(config: Split) -> None:
    if config.kind == "random" and config.test_share + config.validation_share >= 1.0:
        raise UserError(
            f"split.test_share {config.test_share} and split.validation_share {config.validation_share} add up to 1 or "
            "more and leave no train part: lower one of them"
        )
    if config.kind == "given" and config.has_cold:
        raise UserError(
            "split.kind is `given`, whose test has its pairs already: set split.cold_item_share and "
            "split.cold_user_share to 0, or take another kind"
        )


def _with_cold(events: DataFrame, config: Split, seed: int) -> DataFrame:
    """Set apart the pairs whose user or item is cold: for test where either is held out for it, else for validation.

    By a hash of the seed and the business id: the same users and items are cold whatever else was ingested or indexed.
    """
    part = F.lit(None).cast("string")
    shares = [(c.ITEM_ID, config.cold_item_share), (c.USER_ID, config.cold_user_share)]
    drawn = [(_drawn(F.lit(_COLD), F.lit(seed), F.lit(name), F.col(name)), share) for name, share in shares if share]
    for place, share in drawn:
        part = F.when(place < share, VALIDATION).otherwise(part)
    for place, share in drawn:
        part = F.when(place < share * (1.0 - config.cold_validation_share), TEST).otherwise(part)
    return events.withColumn(_SET_APART, part)


def _drawn(*hashed: Column) -> Column:
    """A number in [0, 1) by a hash."""
    return F.pmod(F.xxhash64(*hashed), F.lit(_HASH_STEPS)) / _HASH_STEPS


def moved(config: Split, before: date, now: date) -> Column:
    """The condition that an event, known by the day `before`, is in another part by the day `now`; its user's other events
    apart, by which splits in a user's order go.

    Of a split by time those of the days that a window has left or reached; of the other kinds none. Not for given tests.
    """
    found = F.lit(False)
    if config.kind == "time":
        for first, last in zip(_windows(config, before), _windows(config, now), strict=True):
            found |= (F.col(c.EVENT_TIME) >= F.lit(_midnight(first))) & (F.col(c.EVENT_TIME) < F.lit(_midnight(last)))
    return found


def _windows(config: Split, as_of: date) -> tuple[date, date]:
    """The first days of validation and of test."""
    test_from = as_of + timedelta(days=1 - config.test_days)
    return test_from - timedelta(days=config.validation_days), test_from


def _part_by_time(config: Split, as_of: date) -> Column:
    validation_from, test_from = _windows(config, as_of)
    return (
        F.when(F.col(c.EVENT_TIME) >= F.lit(_midnight(test_from)), TEST)
        .when(F.col(c.EVENT_TIME) >= F.lit(_midnight(validation_from)), VALIDATION)
        .otherwise(TRAIN)
    )


def _part_by_pair(config: Split, seed: int) -> Column:
    """The part of a user and item, by a hash of the seed and the two: all events of a pair fall together."""
    place = _drawn(F.lit(_OF_SPLIT), F.lit(seed), F.col(c.USER_IDX), F.col(c.ITEM_IDX))
    return (
        F.when(place < config.test_share, TEST)
        .when(place < config.test_share + config.validation_share, VALIDATION)
        .otherwise(TRAIN)
    )


def _part(held_out: Sequence[str]) -> Column:
    """The part of a placed event, whose `nth_last` counts the held-out targets from the last one, 1."""
    part = F.lit(TRAIN)
    for nth, name in enumerate(held_out, start=1):
        part = F.when(F.col(_NTH_LAST) == nth, name).otherwise(part)
    return part


def _with_given(events: DataFrame, given_test: DataFrame | None) -> DataFrame:
    if given_test is None:
        raise UserError("split.kind is `given`, but split.test_file names no file")
    marked = given_test.select(c.USER_IDX, c.ITEM_IDX, F.lit(TEST).alias(_SET_APART))
    return events.join(marked, on=[c.USER_IDX, c.ITEM_IDX], how="left")


def _placer(most: int, repeats: bool) -> Callable[[pa.Table], Iterator[pa.RecordBatch]]:
    """Events in the order of their users and times -> the same with their places."""

    def place(events: pa.Table) -> Iterator[pa.RecordBatch]:
        users, items = (events.column(name).to_numpy() for name in (c.USER_IDX, c.ITEM_IDX))
        eligible = pc.and_(events.column(c.POSITIVE), pc.is_null(events.column(_SET_APART))).to_numpy()
        placed = events.append_column(c.POSITION, pa.array(positions(users), pa.int32()))
        nth = pa.array(held_out(users, items, eligible, most, repeats), pa.int8())
        yield from placed.append_column(_NTH_LAST, nth).combine_chunks().to_batches()

    return place


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
