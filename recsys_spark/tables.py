"""The only reader and writer of Delta tables: pinned versions in, one slice out, and a note of both for lineage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from pathlib import Path
from urllib.parse import unquote

import pyarrow
from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import LeaseLostError, MissingTableError, UserError
from recsys_spark.files import LiveFile, Size
from recsys_spark.roots import in_catalog
from recsys_spark.schemas import TABLES, Table
from recsys_spark.transform import Transformer, conform, evolved, same_row

SliceKey = Mapping[str, str | int | date]

_FENCE = "recsys-lease"


@dataclass
class Tables:
    """The tables below one root, which is a path (local or object store) or `catalog.schema`.

    A table's version is pinned when it is first read, so that every later read in the same run sees the same rows;
    writing a table moves its pin to the version written.
    """

    spark: SparkSession
    root: str
    run_id: str = ""
    examples_root: str = ""
    turn: Callable[[], int] | None = None  # of the lease that fenced tables are written under
    versions_read: dict[str, int] = field(default_factory=dict)
    versions_written: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.in_catalog and ":" not in self.root:  # Delta takes a relative location for a table's name
            self.root = str(Path(self.root).absolute())

    @property
    def in_catalog(self) -> bool:
        return in_catalog(self.root)

    def path(self, name: str) -> str:
        """Where the files of a table lie."""
        if not self.in_catalog:
            return f"{self.root.rstrip('/')}/{name}"
        if self.examples_root and TABLES[name].read_as_files:
            return f"{self.examples_root.rstrip('/')}/{name}"
        detail = self.handle(name).detail().select("location").head()
        assert detail is not None
        return str(detail[0])

    def sql_name(self, name: str) -> str:
        """The table as SQL names it."""
        return self._in_catalog(name) if self.in_catalog else f"delta.`{self.path(name)}`"

    def _in_catalog(self, name: str) -> str:
        """Without Spark's own catalogue, which SQL takes for granted: Delta's classes know names of two parts alone there."""
        parts = [*self.root.removeprefix("spark_catalog.").split("."), name]
        return ".".join(part if part.isidentifier() else f"`{part}`" for part in parts)

    def exists(self, name: str) -> bool:
        if self.in_catalog:
            return bool(self.spark.catalog.tableExists(self._in_catalog(name)))
        return bool(DeltaTable.isDeltaTable(self.spark, self.path(name)))

    def version(self, name: str) -> int:
        """The newest version of a table."""
        newest = self.handle(name).history(1).select("version").head()
        assert newest is not None
        return int(newest[0])

    def identity(self, name: str) -> str:
        """What Delta calls a table all its life: one that is deleted and made again has another."""
        detail = self.handle(name).detail().select("id").head()
        assert detail is not None
        return str(detail[0])

    def pin(self, name: str) -> int:
        """The version that this run reads of a table.

        Raises:
            MissingTableError: there is no such table; the message names the job that makes it.
        """
        if name in self.versions_written:
            return self.versions_written[name]
        if name not in self.versions_read:
            if not self.exists(name):
                raise MissingTableError(
                    f"table `{name}` does not exist under {self.root}: run jobs/{TABLES[name].made_by}.py first"
                )
            self.versions_read[name] = self.version(name)
        return self.versions_read[name]

    def read(self, name: str, where: SliceKey | None = None) -> DataFrame:
        """The pinned version of a table, or one slice of it.

        Raises:
            MissingTableError: there is no such table.
        """
        return self.read_version(name, self.pin(name), where)

    def read_version(self, name: str, version: int, where: SliceKey | None = None) -> DataFrame:
        """A table, or one slice of it, as an earlier run saw it; a version that was vacuumed fails when its rows are read.

        Columns that came to the schema after it was written are null.

        Raises:
            SchemaError: a column has another type than the schema says.
        """
        frame = self.at_version(name, version)
        if name in TABLES:
            frame = frame.transform(self._brought_up(TABLES[name]))
        return frame.where(_matches(where)) if where else frame

    def read_or_empty(self, table: Table) -> DataFrame:
        """The pinned version of a table, or no rows where it has not been made yet."""
        if self.exists(table.name):
            return self.read(table.name)
        return self.spark.createDataFrame([], table.schema)

    def read_slice(self, name: str, where: SliceKey) -> DataFrame:
        """One slice that must be there.

        Raises:
            MissingTableError: the table, or the slice of it, does not exist; the message names the job that makes it.
        """
        frame = self.read(name, where)
        if frame.isEmpty():
            raise MissingTableError(
                f"table `{name}` under {self.root} has no rows for {_words(where)}: "
                f"run jobs/{TABLES[name].made_by}.py for it first"
            )
        return frame

    def append(self, table: Table, frame: DataFrame) -> int:
        """Add rows; the number added."""
        self._create(table)
        return self._write(table, frame, "append")

    def replace(self, table: Table, frame: DataFrame, where: SliceKey | None = None) -> int:
        """Put `frame` in the place of one slice (or of the whole table) in one atomic commit; the number of rows.

        Running it again with the same frame leaves the same rows. `where` names the slice by column values; rows of
        the frame outside it are an error.
        """
        self._create(table)
        return self._write(table, frame, "overwrite", where)

    def upsert_latest(self, table: Table, frame: DataFrame, newest: str) -> int:
        """Insert or update by the table's key where `newest` is not older than what is there; rows changed."""
        self._create(table)
        before = self.version(table.name)
        rows = frame.transform(conform(table.schema, table.name))
        same = " AND ".join(f"old.{key} = new.{key}" for key in table.key)
        with_newer = self.handle(table.name).alias("old").merge(rows.alias("new"), same).withSchemaEvolution()
        changed = f"new.{newest} >= old.{newest} OR old.{newest} IS NULL"
        with_newer.whenMatchedUpdateAll(condition=changed).whenNotMatchedInsertAll().execute()
        return self.note_write(table.name, before, "numTargetRowsInserted", "numTargetRowsUpdated")

    def claim(self, table: Table, frame: DataFrame, number: int) -> bool:
        """Put `frame` in the place of a whole table, unless a claim of this number or a higher one was made; whether it was."""
        from delta.exceptions import DeltaConcurrentModificationException

        self._create(table)
        try:
            self._commit(table, frame, "overwrite", number=number)
        except DeltaConcurrentModificationException:
            return False
        return self._wrote_newest(table.name)

    def fence(self, table: Table, number: int) -> None:
        """Leave an empty commit, after which fenced writes of lower numbers to this table are refused."""
        self._commit(table, self.spark.createDataFrame([], table.schema), "append", number=number)

    def delete_matching(self, name: str, rows: DataFrame, on: Sequence[str]) -> int:
        """Delete the rows whose columns `on` are those of one of `rows`, nulls being equal; the number deleted.

        By a join, so that the log names no value. O(table), and the files with such rows are written anew.
        """
        before = self.version(name)
        found = self._matching(name, rows, on)
        found.whenMatchedDelete().execute()
        return self.note_write(name, before, "numTargetRowsDeleted")

    def set_matching(self, name: str, rows: DataFrame, on: Sequence[str], values: Mapping[str, Column]) -> int:
        """Set columns of the rows that `delete_matching` would delete; `values` may speak of `new.column` of `rows`."""
        before = self.version(name)
        found = self._matching(name, rows, on)
        found.whenMatchedUpdate(set=dict(values)).execute()
        return self.note_write(name, before, "numTargetRowsUpdated")

    def live_files(self, name: str, where: SliceKey) -> list[LiveFile]:
        """The data files of one slice in the pinned version, with the rows that the log counts, in path order.

        For readers that know nothing of Delta's log. Complexity: the number of files.

        Raises:
            MissingTableError: the table or the slice does not exist.
            ValueError: the table is not declared as one that is read so.
            UserError: the version has deletion vectors or column mapping, so that its files do not hold its rows.
        """
        from deltalake import DeltaTable as DeltaLog

        if not TABLES[name].read_as_files:
            raise ValueError(f"table `{name}` is not declared with read_as_files")
        path = self.path(name)
        log = DeltaLog(path, version=self.pin(name))
        again = f"delete the table and run jobs/{TABLES[name].made_by}.py again"
        mapping = log.metadata().configuration.get("delta.columnMapping.mode", "none")
        if mapping != "none":
            raise UserError(
                f"table `{name}` at {path} uses column mapping ({mapping}), so its files cannot be fed: {again}"
            )
        if "deletionVectors" in (log.protocol().reader_features or []) and any(
            batch.num_rows for batch in log.deletion_vectors()
        ):
            raise UserError(f"table `{name}` at {path} has deletion vectors, so its files hold deleted rows: {again}")
        files = [
            LiveFile(f"{path.rstrip('/')}/{unquote(action['path'])}", action["num_records"])
            for action in pyarrow.table(log.get_add_actions(flatten=True)).to_pylist()
            if all(action[f"partition.{key}"] == value for key, value in where.items())
        ]
        if not files:
            raise MissingTableError(f"table `{name}` under {self.root} has no rows for {_words(where)}: {again}")
        return sorted(files, key=lambda file: file.url)

    def delete(self, name: str, rows: Column) -> None:
        """Delete rows in one commit, which is cheap where they are whole partitions; old versions still hold them."""
        before = self.version(name)
        self.handle(name).delete(rows)
        self.note_write(name, before)

    def rewritten(self, name: str, version: int, where: SliceKey) -> bool:
        """Whether a slice was put in the place of another after a version, whoever did it; also where the log no longer tells.

        By the predicate of each overwrite, as Delta's log keeps it. O(commits since).
        """
        since = self.version(name) - version
        if since <= 0:
            return False
        commits = self.handle(name).history(since).select("operationParameters").collect()
        told = [row[0] or {} for row in commits]
        over = [str(one.get("predicate") or "") for one in told if one.get("mode") == "Overwrite"]
        return len(commits) < since or any(not predicate or _condition(where) in predicate for predicate in over)

    def writers(self, name: str, commits: int) -> dict[str, int]:
        """The runs that made the latest commits to a table, each with the version that it last left. O(commits)."""
        rows = self.handle(name).history(commits).select("version", "userMetadata").collect()
        made = {int(row["version"]): json.loads(row["userMetadata"])["run_id"] for row in rows if row["userMetadata"]}
        return {made[version]: version for version in sorted(made)}

    def create_view(self, name: str, query: str) -> None:
        """Put a view into the catalogue, in the place of one of that name; only where the root is one."""
        self.spark.sql(f"CREATE OR REPLACE VIEW {self.sql_name(name)} AS\n{query}")

    def size(self, name: str, version: int | None = None) -> Size:
        """How large a version of a table is (the pinned one if none is given), from the log alone: no row is read.

        Rows that deletion vectors hide are counted. Complexity: the number of files.

        Raises:
            MissingTableError: there is no such table.
        """
        from deltalake import DeltaTable as DeltaLog

        log = DeltaLog(self.path(name), version=self.pin(name) if version is None else version)
        return Size.of(pyarrow.table(log.get_add_actions(flatten=True)).to_pylist(), f"partition.{c.AS_OF_DATE}")

    def rows_by_date(self, name: str) -> dict[date, int]:
        """The dates of the slices that the pinned version of a table has, each with its rows, from the log alone: O(files)."""
        from deltalake import DeltaTable as DeltaLog

        rows: dict[date, int] = {}
        log = DeltaLog(self.path(name), version=self.pin(name))
        for action in pyarrow.table(log.get_add_actions(flatten=True)).to_pylist():
            day = action[f"partition.{c.AS_OF_DATE}"]
            rows[day] = rows.get(day, 0) + (action["num_records"] or 0)
        return rows

    def handle(self, name: str) -> DeltaTable:
        """Delta's own handle of a table, for what is neither reading nor writing rows."""
        if self.in_catalog:
            return DeltaTable.forName(self.spark, self._in_catalog(name))
        return DeltaTable.forPath(self.spark, self.path(name))

    def ensure(self, table: Table) -> None:
        """Make a table without rows where there is none.

        Raises:
            SchemaError: there is one, with a column of another type.
        """
        self._create(table)

    def at_version(self, name: str, version: int) -> DataFrame:
        """The rows of a version as they were written, whatever the schema is now."""
        reader = self.spark.read.format("delta").option("versionAsOf", version)
        return reader.table(self._in_catalog(name)) if self.in_catalog else reader.load(self.path(name))

    def _brought_up(self, table: Table) -> Transformer:
        remade = "" if " " in table.made_by else f" and run jobs/{table.made_by}.py again"
        remedy = f"another version of this package wrote it; go on with that version, or move the table away{remade}"
        return evolved(table.schema, f"table `{table.name}` under {self.root}", remedy)

    def _matching(self, name: str, rows: DataFrame, on: Sequence[str]) -> DeltaMergeBuilder:
        return self.handle(name).alias("old").merge(rows.distinct().alias("new"), same_row(on, "old", "new"))

    def _create(self, table: Table) -> None:
        if self.exists(table.name):
            self.spark.table(self.sql_name(table.name)).transform(self._brought_up(table))
            return
        builder = DeltaTable.createIfNotExists(self.spark)
        if self.in_catalog:
            builder = builder.tableName(self._in_catalog(table.name))
            if self.examples_root and table.read_as_files:
                builder = builder.location(self.path(table.name))
        else:
            builder = builder.location(self.path(table.name))
        builder = builder.addColumns(table.schema)
        if table.partitioned_by:
            builder = builder.partitionedBy(*table.partitioned_by)
        for key, value in table.properties.items():
            builder = builder.property(key, value)
        builder.execute()

    def _write(self, table: Table, frame: DataFrame, mode: str, where: SliceKey | None = None) -> int:
        before = self.version(table.name)
        number = self.turn() if self.turn is not None and table.fenced else None
        self._commit(table, frame, mode, where, number)
        if number is not None and not self._wrote_newest(table.name):
            raise LeaseLostError(
                f"another run took the lease of {self.root}, so that table `{table.name}` was not written"
            )
        return self.note_write(table.name, before, "numOutputRows")

    def _commit(
        self, table: Table, frame: DataFrame, mode: str, where: SliceKey | None = None, number: int | None = None
    ) -> None:
        """One commit; with a number it counts only if no commit of this number or a higher one was made to the table."""
        rows = frame.transform(conform(table.schema, table.name))
        writer = rows.write.format("delta").mode(mode).option("userMetadata", json.dumps({"run_id": self.run_id}))
        writer = writer.option("mergeSchema", "true")
        if where:
            writer = writer.option("replaceWhere", _condition(where))
        if number is not None:
            writer = writer.option("txnAppId", _FENCE).option("txnVersion", number)
        if self.in_catalog:
            writer.saveAsTable(self._in_catalog(table.name))
        else:
            writer.save(self.path(table.name))

    def _wrote_newest(self, name: str) -> bool:
        """Whether the table's newest commit is of this run."""
        newest = self.handle(name).history(1).select("userMetadata").head()
        return bool(newest and newest[0] and json.loads(newest[0]).get("run_id") == self.run_id)

    def note_write(self, name: str, before: int, *metrics: str) -> int:
        """Note the newest version as written by this run; the sum of these of its metrics, 0 if it is still `before`."""
        newest = self.handle(name).history(1).select("version", "operationMetrics").head()
        assert newest is not None
        if newest["version"] == before:
            return 0  # Delta commits nothing where nothing changed
        self.versions_written[name] = int(newest["version"])
        return sum(int(newest["operationMetrics"].get(metric, 0)) for metric in metrics)


def read_outside(spark: SparkSession, path: str, setting: str) -> DataFrame:
    """The newest version of a Delta table that is none of ours, by its path or by `catalog.schema.table`.

    Raises:
        UserError: there is none; the message names `setting`, which holds the path.
    """
    parent, slash, name = path.rstrip("/").rpartition("/")
    if not slash:
        parent, _, name = path.rpartition(".")
    tables = Tables(spark, parent or "/")
    if not name or not tables.exists(name):
        raise UserError(f"{path}: no Delta table here; check the path and {setting}")
    return tables.at_version(name, tables.pin(name))  # whatever it is called, it is none of ours


def _literal(value: str | int | date) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "\\'") + "'"


def _condition(where: SliceKey) -> str:
    return " AND ".join(f"{key} = {_literal(value)}" for key, value in where.items())


def _matches(where: SliceKey) -> Column:
    return reduce(lambda left, right: left & right, (F.col(key) == F.lit(value) for key, value in where.items()))


def _words(where: SliceKey) -> str:
    return ", ".join(f"{key}={value}" for key, value in where.items())
