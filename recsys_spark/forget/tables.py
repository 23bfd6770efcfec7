"""People out of tables: rows deleted by join, the index's row made a tombstone, texts blacked out, history dropped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.forget.coverage import covered, keyed_by, texts_of
from recsys_spark.forget.people import People
from recsys_spark.runs import Run
from recsys_spark.schemas import BROKEN_RUNS, RUNS, SUPPRESSED, USERS, Table
from recsys_spark.suppression import TOMBSTONE, holding, key_id
from recsys_spark.upkeep import drop_history

BLACKED_OUT: Final = "removed: it named a person who was forgotten"


def suppress(run: Run, people: People, now: datetime) -> int:
    """Put people on the suppression list; how many were not on it."""
    listed = run.tables.read_or_empty(SUPPRESSED)
    fresh = people.hashes.join(listed, on=c.KEYED_HASH, how="left_anti").select(
        c.KEYED_HASH,
        F.lit(key_id(people.key)).alias(c.KEY_ID),
        F.lit(now).alias("suppressed_at"),
        F.lit(run.run_id).alias(c.RUN_ID),
    )
    return run.tables.append(SUPPRESSED, fresh)


def remove(run: Run, people: People) -> dict[str, int]:
    """Rows that were removed, or changed so that they name nobody, by table; one join and one rewrite a table."""
    return {table.name: _remove_from(run, table, people) for table in covered(run.tables)}


def drop_histories(run: Run) -> dict[str, int]:
    """The one version that is left of each table that holds people."""
    return {table.name: drop_history(run.tables, table.name) for table in covered(run.tables)}


def break_runs(run: Run, left: Mapping[str, int], now: datetime) -> int:
    """Enter runs that read a version before the one `left` as no longer reproducible; how many rows that took.

    A row a run and table; those that an earlier forgetting broke stay as they are.
    """
    kept = run.spark.createDataFrame(list(left.items()), "table_name string, first long")
    read = run.tables.read(RUNS.name).select(
        c.RUN_ID, "stage", F.explode("versions_read").alias("table_name", "version")
    )
    lost = read.join(F.broadcast(kept), on="table_name", how="inner").where(F.col("version") < F.col("first"))
    known = run.tables.read_or_empty(BROKEN_RUNS)
    rows = lost.join(known, on=list(BROKEN_RUNS.key), how="left_anti").withColumns(
        {"broken_by": F.lit(run.run_id), "broken_at": F.lit(now)}
    )
    return run.tables.append(BROKEN_RUNS, rows)


def _remove_from(run: Run, table: Table, people: People) -> int:
    if table.name == USERS.name:
        return _tombstones(run, people)
    removed = 0
    for key, whom in ((c.USER_ID, people.ids), (c.USER_IDX, people.indices)):
        if keyed_by(table, key):
            removed += run.tables.delete_matching(table.name, whom.select(key), [key])
    if texts_of(table):
        removed += _out_of_texts(run, table, people)
    return removed


def _tombstones(run: Run, people: People) -> int:
    """The index keeps its rows, so that no index is given twice; they name nobody any more."""
    marked = people.ids.withColumn("tombstone", F.concat(F.lit(TOMBSTONE), c.KEYED_HASH))
    rows = marked.select(c.USER_ID, "tombstone")
    return run.tables.set_matching(USERS.name, rows, [c.USER_ID], {c.USER_ID: F.col("new.tombstone")})


def _out_of_texts(run: Run, table: Table, people: People) -> int:
    """Rows of sources are deleted; those of runs, trials and cells lose their text alone."""
    rows = run.tables.read(table.name)
    named = holding(rows, table.key, texts_of(table), people.hashes, people.key)
    if c.RAW in table.schema.names:
        return run.tables.delete_matching(table.name, named, table.key)
    blacked_out = {text: F.lit(BLACKED_OUT) for text in texts_of(table)}
    return run.tables.set_matching(table.name, named, table.key, blacked_out)


def forgotten_rows(
    run: Run, people: People, removed: Mapping[str, int], left: Mapping[str, int], place: str
) -> DataFrame:
    """The rows of table `forgotten`: a row a person."""
    entries = [F.lit(part) for entry in removed.items() for part in entry]
    by_table = F.create_map(*entries) if entries else F.lit(None)
    return people.hashes.select(
        c.KEYED_HASH,
        F.lit(datetime.now(UTC)).alias("forgotten_at"),
        by_table.cast("map<string,bigint>").alias("removed"),
        F.lit(left.get(USERS.name)).cast("bigint").alias("users_version"),
        F.lit(place).alias("certificate"),
        F.lit(run.run_id).alias(c.RUN_ID),
    )
