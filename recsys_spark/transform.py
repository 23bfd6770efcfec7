"""Frames in, frames out: the type every stage's steps share, and the check that stands at a stage's boundary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.errors import SchemaError

Transformer = Callable[[DataFrame], DataFrame]

USER_COLUMNS: Final = (c.GENDER, c.AGE)  # attributes of users that have a column of their own

_HASH_STEPS: Final = 1 << 20


def conform(schema: StructType, name: str) -> Transformer:
    """A transformer that projects a frame to `schema`, in its order.

    Raises:
        SchemaError: a column is missing or has another type; the message lists each with what was expected.
    """

    def check(frame: DataFrame) -> DataFrame:
        came = {field.name: field.dataType for field in frame.schema}
        problems = [
            f"`{field.name}`: expected {field.dataType.simpleString()}, "
            + (f"got {came[field.name].simpleString()}" if field.name in came else "missing")
            for field in schema
            if field.name not in came or field.dataType.simpleString() != came[field.name].simpleString()
        ]
        if problems:
            raise SchemaError(f"{name}: " + "; ".join(problems))
        return frame.select([F.col(field.name) for field in schema])

    return check


def evolved(schema: StructType, name: str, remedy: str) -> Transformer:
    """A transformer that adds what an older table lacks of `schema`, as nulls; further columns stay.

    Args:
        remedy: what to do about a column of another type, for the message.

    Raises:
        SchemaError: a column has another type; the message lists each with what was expected.
    """

    def bring_up(frame: DataFrame) -> DataFrame:
        came = {field.name: field.dataType.simpleString() for field in frame.schema}
        problems = [
            f"column `{field.name}` is {came[field.name]}, expected {field.dataType.simpleString()}"
            for field in schema
            if came.get(field.name, field.dataType.simpleString()) != field.dataType.simpleString()
        ]
        if problems:
            raise SchemaError(f"{name}: {'; '.join(problems)}: {remedy}")
        missing = {field.name: F.lit(None).cast(field.dataType) for field in schema if field.name not in came}
        return frame.withColumns(missing) if missing else frame

    return bring_up


def shuffle_partitions(frame: DataFrame) -> int:
    """The session's shuffle partitions, for a `repartition` whose rows cost more time than their bytes tell.

    Without a number Spark would join small partitions into few, and Python work on them would use few cores.
    """
    return int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)


def user_attribute(name: str) -> Column:
    """What `user_attributes` has of a user under a name: in a column of its own, or under a key of `attributes`."""
    return F.col(name) if name in USER_COLUMNS else F.col(c.ATTRIBUTES)[name]


def in_sample(share: float, seed: int, *columns: str) -> Column:
    """Whether a row is in the sample of that share, by a hash of the seed and the row's columns."""
    return F.pmod(F.xxhash64(F.lit(seed), *columns), F.lit(_HASH_STEPS)) < int(share * _HASH_STEPS)


def same_row(key: Sequence[str], left: str, right: str) -> Column:
    """The condition that two aliased frames' rows are equal in the columns of a key, nulls being equal to each other."""
    same = [F.col(f"{left}.{name}").eqNullSafe(F.col(f"{right}.{name}")) for name in key]
    return reduce(lambda all_before, one: all_before & one, same)
