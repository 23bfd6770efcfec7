"""Whom a run is about: the ids it was given, their keyed hashes, and the indices that are theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.events.drafts import text_or_none
from recsys_spark.forget.coverage import covered, keyed_by, texts_of
from recsys_spark.runs import Run
from recsys_spark.schemas import SUPPRESSED, USERS
from recsys_spark.suppression import TOMBSTONE, hash_of, keyed_hash, words_hashed
from recsys_spark.tables import read_outside

_MOST_NAMED: Final = 10
_IDS: Final = StructType([StructField(c.USER_ID, StringType())])


@dataclass(frozen=True)
class People:
    """`hashes` (keyed_hash), one row a person; `ids` (user_id, keyed_hash), which a check of all people does not have;
    `indices` (user_idx, keyed_hash) of those who have one, whether their ids stand in `users` or tombstones."""

    key: bytes
    hashes: DataFrame
    ids: DataFrame
    indices: DataFrame


@contextmanager
def people_of(run: Run, key: bytes, hashes: DataFrame | None = None) -> Iterator[People]:
    """The people whom the command line names, or else those of `hashes`; within the block they stay at hand.

    The ids come from `--user-id` or from a table, any number: they meet the tables in joins alone.

    Raises:
        UserError: nobody is named, or the table has no such column.
    """
    ids = _given(run) if hashes is None else run.spark.createDataFrame([], _IDS)
    hashed = ids.withColumn(c.KEYED_HASH, hash_of(key, c.USER_ID)).persist()
    of_all = hashed.select(c.KEYED_HASH) if hashes is None else hashes
    users = run.tables.read_or_empty(USERS)
    names = hashed.select(c.USER_ID, c.KEYED_HASH).unionByName(
        of_all.select(F.concat(F.lit(TOMBSTONE), c.KEYED_HASH).alias(c.USER_ID), c.KEYED_HASH)
    )
    indices = users.join(names, on=c.USER_ID, how="inner").select(c.USER_IDX, c.KEYED_HASH).persist()
    try:
        if hashes is None and hashed.isEmpty():
            raise UserError(f"{run.options['table']}: column `{run.options['column']}` holds no ids")
        indices.count()  # now: the version of `users` that it is read from may be gone later
        yield People(key, of_all, hashed, indices)
    finally:
        indices.unpersist()
        hashed.unpersist()


def refuse_unknown(run: Run, people: People) -> None:
    """Stop, before anything is changed, where a person is in no table.

    Most are found in `users`; only the others are looked for in every table.

    Raises:
        UserError: with the keyed hashes of some of those who are not known, or their places on the command line, not their ids.
    """
    rest = _unknown(run, people).persist()
    try:
        missing = rest.count()
        if not missing:
            return
        some = collect_rows(rest.limit(_MOST_NAMED), "ids that no table holds", run.config.run.driver_bytes)
        whom = _named(run, people.key, [row[c.KEYED_HASH] for row in some])
        raise UserError(
            f"{missing:,} of {people.hashes.count():,} ids are in no table below {run.root}, nothing was changed: {whom}; check "
            "them and --root, or give --allow-unknown to keep them out all the same"
        )
    finally:
        rest.unpersist()


def _given(run: Run) -> DataFrame:
    listed, path, column = run.options["user_id"], run.options["table"], run.options["column"]
    if bool(listed) == bool(path):
        raise UserError("whom? give --user-id, once or more, or else --table")
    if path:
        table = read_outside(run.spark, path, "--table")
        if column not in table.columns:
            raise UserError(f"{path} has no column `{column}`, but {', '.join(table.columns)}: see --column")
    else:
        table, column = run.spark.createDataFrame([(one,) for one in listed], _IDS), c.USER_ID
    ids = table.select(text_or_none(F.col(column)).alias(c.USER_ID))
    return ids.where(F.col(c.USER_ID).isNotNull()).distinct()


def _unknown(run: Run, people: People) -> DataFrame:
    """`(user_id, keyed_hash)` of those whom nothing holds."""
    rest = people.ids.join(people.indices, on=c.KEYED_HASH, how="left_anti")
    listed = run.tables.read_or_empty(SUPPRESSED)
    rest = rest.join(listed, on=c.KEYED_HASH, how="left_anti").select(c.USER_ID, c.KEYED_HASH)
    if rest.isEmpty():
        return rest
    for table in covered(run.tables):
        if keyed_by(table, c.USER_ID):
            rest = rest.join(run.tables.read(table.name), on=c.USER_ID, how="left_anti")
        if texts := texts_of(table):
            named = words_hashed(run.tables.read(table.name), [], texts, people.key)
            rest = rest.join(named, on=c.KEYED_HASH, how="left_anti")
    return rest


def _named(run: Run, key: bytes, hashes: list[str]) -> str:
    places = [
        place for place, one in enumerate(run.options["user_id"], start=1) if keyed_hash(key, one.strip()) in hashes
    ]
    if places:
        return "--user-id no. " + ", ".join(map(str, places))
    return "keyed hashes " + ", ".join(hashes)
