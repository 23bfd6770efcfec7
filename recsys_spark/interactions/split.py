"""Which part of the split an event falls in: train, validation or test, cut by each user's order or by time.

Events of a user are ordered by (event_time, event_order, event_id), so that ties fall the same way every time. An event
is never in an earlier part than one before it, except under a given test, whose pairs are test wherever they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.config import Interactions, Split
from recsys_spark.errors import UserError
from recsys_spark.schemas import LABELLED_EVENTS
from recsys_spark.transform import Transformer, conform

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"

PARTS_OF_FIT: Final = {
    "evaluate": (TRAIN,),
    "refit": (TRAIN, VALIDATION),
    "production": (TRAIN, VALIDATION, TEST),
}

_GIVEN_TEST = "given_test"
_FIRST_OF_PAIR = "first_of_pair"


def until(as_of: date) -> Column:
    """The condition that an event is known by the end of the day `as_of` (UTC)."""
    return F.col(c.EVENT_TIME) < F.lit(_midnight(as_of + timedelta(days=1)))


def in_parts(fit: str) -> Column:
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
        condition &= F.coalesce(F.col(c.EVENT_VALUE) >= config.positive_min_value, F.lit(False))
    return lambda events: events.withColumn(c.POSITIVE, condition)


def labelled(config: Split, as_of: date, given_test: DataFrame | None = None) -> Transformer:
    """Indexed events with `positive` -> `schemas.LABELLED_EVENTS`.

    One shuffle by user and a sort within it: O(n log h) for histories of length h; nothing is taken over all users.

    Args:
        given_test: `(user_idx, item_idx)` pairs that are the test, for `kind: given`.

    Raises:
        UserError: `kind: given` without its pairs.
    """

    def label(events: DataFrame) -> DataFrame:
        history = Window.partitionBy(c.USER_IDX).orderBy(c.EVENT_TIME, c.EVENT_ORDER, c.EVENT_ID)
        placed = events.withColumn(c.POSITION, F.row_number().over(history))
        if config.kind == "time":
            return placed.withColumn(c.PART, _part_by_time(config, as_of))
        if config.kind == "given":
            return _label_given(placed, given_test)
        held_out = [TEST] if config.kind == "leave_last_one" else [TEST, VALIDATION]
        return _leave_last(placed, held_out, repeats=config.repeats)

    return lambda events: label(events).transform(conform(LABELLED_EVENTS, "labelled events"))


def _part_by_time(config: Split, as_of: date) -> Column:
    test_from = as_of + timedelta(days=1 - config.test_days)
    validation_from = test_from - timedelta(days=config.validation_days)
    return (
        F.when(F.col(c.EVENT_TIME) >= F.lit(_midnight(test_from)), TEST)
        .when(F.col(c.EVENT_TIME) >= F.lit(_midnight(validation_from)), VALIDATION)
        .otherwise(TRAIN)
    )


def _label_given(placed: DataFrame, given_test: DataFrame | None) -> DataFrame:
    if given_test is None:
        raise UserError("split.kind is `given`, but split.test_file names no file")
    marked = given_test.select(c.USER_IDX, c.ITEM_IDX, F.lit(True).alias(_GIVEN_TEST))
    known = placed.join(marked, on=[c.USER_IDX, c.ITEM_IDX], how="left")
    is_test = F.coalesce(F.col(_GIVEN_TEST), F.lit(False))
    rest = _leave_last(known, [VALIDATION], repeats=False, among=~is_test)
    return rest.withColumn(c.PART, F.when(is_test, TEST).otherwise(F.col(c.PART)))


def _leave_last(placed: DataFrame, held_out: Sequence[str], repeats: bool, among: Column | None = None) -> DataFrame:
    """Hold out a user's latest targets, one a part; what stands after a target is in its part too.

    A target is a positive event, and, unless repeats may be targets, the first one of its item. A user keeps at least
    one target in train: one with two targets is left out of validation, one with a single target of both.
    """
    eligible = F.col(c.POSITIVE) & (F.lit(True) if among is None else among)
    if not repeats:
        of_pair = Window.partitionBy(c.USER_IDX, c.ITEM_IDX).orderBy(c.POSITION)
        seen_before = F.sum(eligible.cast("int")).over(of_pair.rowsBetween(Window.unboundedPreceding, -1))
        placed = placed.withColumn(_FIRST_OF_PAIR, F.coalesce(seen_before, F.lit(0)) == 0)
        eligible &= F.col(_FIRST_OF_PAIR)
    by_user = Window.partitionBy(c.USER_IDX).orderBy(c.POSITION)
    newer = by_user.rowsBetween(1, Window.unboundedFollowing)
    whole = by_user.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    still_to_come = F.coalesce(F.sum(eligible.cast("int")).over(newer), F.lit(0))
    targets = F.sum(eligible.cast("int")).over(whole)
    part = F.lit(TRAIN)
    for nth, name in reversed(list(enumerate(held_out, start=1))):
        part = F.when((still_to_come < nth) & (targets > nth), name).otherwise(part)
    return placed.withColumn(c.PART, part)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
