"""The check_forgotten job: whether anything below the root holds people, without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_columns, collect_rows
from recsys_spark.errors import UserError
from recsys_spark.forget.artifacts import places, still_there
from recsys_spark.forget.coverage import KEYS, covered, keyed_by, texts_of
from recsys_spark.forget.held import OF_INDEX, UNREADABLE, marks
from recsys_spark.forget.people import People, people_of
from recsys_spark.runs import Run
from recsys_spark.schemas import FORGOTTEN, USERS, Table
from recsys_spark.serving.opening import folder_of, keeper_of
from recsys_spark.suppression import keyed_hash, known_key, suppression
from recsys_spark.upkeep import all_files

if TYPE_CHECKING:
    from recsys_spark.serving.postgres_tables import PostgresKeeper

_FILE, _TABLE, _MARK, _COLUMNS, _UNTIL = "file", "table", "mark", "columns", "until"
_FOR_EVER = 1 << 62
_STORE = "store"
_NIGHT = "night"
_MARKED_AT_A_TIME = 10_000

Batches = Iterable[pa.RecordBatch]


def run(run: Run) -> None:
    """Look for the given people, or for all who are suppressed. O(files): each is read once, in the columns of people.

    Raises:
        UserError: something holds one of them; the message says what.
    """
    named = bool(run.options["user_id"] or run.options["table"])
    listed = suppression(run.tables)
    if listed is None and not named:
        raise UserError(f"nobody is suppressed under {run.root}: name people with --user-id or --table")
    # without a list there is no key either, and any will do: nothing is kept that is made with it
    key = listed.key if listed else known_key(run.tables) or b"of this check alone"
    with people_of(run, key, None if named or listed is None else listed.hashes) as people:
        found = [*_in_tables(run, people), *_in_models(run, people), *_in_database(run, people)]
        run.counts |= {"people": people.hashes.count(), "findings": len(found)}
    if found:
        raise UserError(
            "\n  ".join(["people are still held:", *found, "run jobs/forget.py for them, again if need be"])
        )
    run.notes.append("nothing below the root holds them: no table, no file of none, no log, no text, no model")


def _in_tables(run: Run, people: People) -> list[str]:
    """A line a table that holds somebody, or that cannot be looked into."""
    files = [
        (table.name, file, _columns(table))
        for table in covered(run.tables)
        for file in all_files(run.tables, table.name)
    ]
    store = folder_of(run.artifacts)
    files += [(_STORE, storage.join(store, file), [c.USER_ID]) for file in storage.list_files(store)]
    if not files:
        return []
    run.counts["files"] = len(files)
    listed = run.spark.createDataFrame(files, f"{_TABLE} string, {_FILE} string, {_COLUMNS} array<string>")
    tasks = min(len(files), 4 * run.spark.sparkContext.defaultParallelism)
    each = listed.repartition(tasks, _FILE).mapInArrow(
        _marker(people.key), f"{_TABLE} string, {_FILE} string, {_MARK} string"
    )
    held = each.join(_wanted(people), on=_MARK, how="left_semi").groupBy(_TABLE)
    hidden = F.countDistinct(F.when(F.col(_MARK) == UNREADABLE, F.col(_FILE))).alias(UNREADABLE)
    counted = held.agg(F.countDistinct(_FILE).alias("files"), hidden, F.min(_FILE).alias(_FILE)).sort(_TABLE)
    rows = collect_rows(counted.persist(), "findings", run.config.run.driver_bytes)
    counted.unpersist()
    return [
        f"table {row[_TABLE]}: {row['files']:,} files, {row[UNREADABLE]:,} of them unreadable, the first {row[_FILE]}"
        for row in rows
    ]


def _in_database(run: Run, people: People) -> list[str]:
    """A line a night of the store in PostgreSQL that holds somebody; the embedded store is among the files. O(its lists)."""
    if run.config.store.kind != "postgres":
        return []
    from recsys_spark.serving.postgres_tables import PostgresKeeper

    keeper = keeper_of(run.config, run.artifacts)
    assert isinstance(keeper, PostgresKeeper)
    nights = [(night,) for night in keeper.nights()]
    if not nights:
        return []
    listed = run.spark.createDataFrame(nights, f"{_NIGHT} int").repartition(len(nights), _NIGHT)
    each = listed.mapInArrow(_marker_of_nights(keeper, people.key), f"{_NIGHT} int, {_MARK} string")
    hashes = people.hashes.select(F.col(c.KEYED_HASH).alias(_MARK))
    held = each.join(hashes, on=_MARK, how="left_semi").groupBy(_NIGHT).agg(F.count("*").alias("lists")).sort(_NIGHT)
    rows = collect_rows(held.persist(), "findings", run.config.run.driver_bytes)
    held.unpersist()
    return [f"store: {row['lists']:,} lists of night {row[_NIGHT]}" for row in rows]


def _in_models(run: Run, people: People) -> list[str]:
    versions = run.tables.read_or_empty(FORGOTTEN).groupBy(c.KEYED_HASH).agg(F.min("users_version").alias(_UNTIL))
    dated = people.indices.join(versions, on=c.KEYED_HASH, how="left").withColumn(
        _UNTIL, F.coalesce(_UNTIL, F.lit(_FOR_EVER))
    )
    rows = collect_columns(dated, [c.USER_IDX, _UNTIL], "indices of people", run.config.run.driver_bytes)
    found = places(run)
    run.notes += [f"not looked into: {place}" for place in found.not_reached]
    return [f"model {place}" for place in still_there(found, rows[c.USER_IDX], rows[_UNTIL])]


def _columns(table: Table) -> list[str]:
    """The columns to look into. The index of users keeps its indices: of people who are forgotten it has tombstones."""
    keys = [key for key in KEYS if keyed_by(table, key)]
    return [key for key in keys if (table.name, key) != (USERS.name, c.USER_IDX)] + list(texts_of(table))


def _wanted(people: People) -> DataFrame:
    """`(mark)` of the people: their keyed hashes, their indices, and that of files that hide what they hold."""
    by_index = F.concat(F.lit(OF_INDEX), F.col(c.USER_IDX).cast("string"))
    hashes = people.hashes.select(F.col(c.KEYED_HASH).alias(_MARK))
    return hashes.unionByName(people.indices.select(by_index.alias(_MARK))).unionByName(
        people.hashes.select(F.lit(UNREADABLE).alias(_MARK)).limit(1)
    )


def _marker(key: bytes) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    def mark(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for table, file, columns in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield _batch(table, file, columns, key)

    return mark


def _marker_of_nights(keeper: PostgresKeeper, key: bytes) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    def mark(batches: Batches) -> Iterator[pa.RecordBatch]:
        for night in (night for batch in batches for night in batch.column(0).to_pylist()):
            users = keeper.users_of(night)
            while hashes := [keyed_hash(key, user) for user in islice(users, _MARKED_AT_A_TIME)]:
                columns = [pa.array([night] * len(hashes), pa.int32()), pa.array(hashes, pa.string())]
                yield pa.RecordBatch.from_arrays(columns, [_NIGHT, _MARK])

    return mark


def _batch(table: str, file: str, columns: Sequence[str], key: bytes) -> pa.RecordBatch:
    found = sorted(marks(file, columns, key))
    filled = [[table] * len(found), [file] * len(found), found]
    return pa.RecordBatch.from_arrays([pa.array(values, pa.string()) for values in filled], [_TABLE, _FILE, _MARK])
