"""Upkeep of tables: files joined, old ones removed, the log kept or dropped. What runs name stays; forgetting wins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from recsys_spark import storage
from recsys_spark.spark_errors import shown
from recsys_spark.tables import Tables

_LOG = "_delta_log"
_DELETION_VECTORS = "delta.enableDeletionVectors"
# a commit, checkpoint or checksum, and what a file system keeps beside them
_OF_VERSION = re.compile(r"^\.?(\d{20})\.")
_RETENTION_CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
_LISTING_TASKS = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
_LOG_KEPT = ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration")


@dataclass(frozen=True)
class OnDisk:
    """Files of a table and the bytes in them."""

    files: int
    bytes: int


def drop_history(tables: Tables, name: str) -> int:
    """Leave a table its newest version alone; that version.

    Deletes the data files that it does not need, at once and without a grace period, then the log of all versions before
    it, whose statistics hold values of rows. Whoever reads an earlier version fails, also those who are at it. O(files).
    """
    _rewrite_deletion_vectors(tables, name)
    with _vacuuming(tables):
        tables.handle(name).vacuum(0.0)
    # a commit that holds no rows: the log begins with it, and it says why
    _set_property(tables, name, "recsys.historyDroppedBy", tables.run_id)
    from deltalake import DeltaTable as DeltaLog

    log = DeltaLog(tables.path(name))
    log.create_checkpoint()
    folder = storage.join(tables.path(name), _LOG)
    storage.delete_files(folder, older_logs(storage.list_files(folder), log.version()))
    tables.versions_written[name] = int(log.version())
    return tables.versions_written[name]


def all_files(tables: Tables, name: str) -> list[str]:
    """Every file below a table's folder, in path order: those of no version, and the log's, among them."""
    folder = tables.path(name)
    return [storage.join(folder, file) for file in storage.list_files(folder)]


def compact(tables: Tables, name: str) -> None:
    """Join small files; the rows stay as they are."""
    before = tables.version(name)
    tables.handle(name).optimize().executeCompaction()
    tables.note_write(name, before)


def vacuum(tables: Tables, name: str, hours: int, oldest: int, dry_run: bool = False) -> int | None:
    """Remove files that no version of the last `hours` reads; how many, or would be, if it is a dry run.

    None, and nothing removed, where the version `oldest` would lose a file all the same, or the log no longer tells: Delta
    forgets when a file was removed after `delta.deletedFileRetentionDuration`, see `keep_log`. Of older files a version
    after `oldest` reads none that `oldest` does not, as tables have one writer at a time.
    """
    command = f"VACUUM {tables.sql_name(name)} RETAIN {hours} HOURS"
    with _vacuuming(tables):
        doomed = {shown(row[0]) for row in tables.spark.sql(f"{command} DRY RUN").collect()}
        try:
            spared = {shown(file) for file in tables.at_version(name, oldest).inputFiles()}
        except AnalysisException:  # Delta's word for a version that its log does not reach back to
            return None
        if doomed & spared:
            return None
        if doomed and not dry_run:
            before = tables.version(name)
            tables.spark.sql(command)
            tables.note_write(name, before)
    return len(doomed)


def keep_log(tables: Tables, name: str, days: int) -> None:
    """Have Delta keep the log, and when each file was removed, for so many days, or for as long as it does if longer."""
    detail = tables.handle(name).detail().select("properties").head()
    assert detail is not None
    kept = [re.fullmatch(r"interval (\d+) days?", detail[0].get(key, "interval 0 days")) for key in _LOG_KEPT]
    if all(found is None or int(found[1]) >= days for found in kept):  # None: a person said it in other units
        return
    before = tables.version(name)
    values = ", ".join(f"'{key}' = 'interval {days} days'" for key in _LOG_KEPT)
    tables.spark.sql(f"ALTER TABLE {tables.sql_name(name)} SET TBLPROPERTIES ({values})")
    tables.note_write(name, before)


def committed(tables: Tables, name: str, version: int) -> tuple[int, datetime]:
    """A version and when it became the newest; where the log no longer holds it, the first after it that it does."""
    since = tables.handle(name).history().where(F.col("version") >= version)
    first = since.agg(F.min(F.struct("version", F.unix_millis("timestamp").alias("at"))).alias("first")).head()
    assert first is not None
    return int(first["first"]["version"]), datetime.fromtimestamp(first["first"]["at"] / 1000, UTC)


def on_disk(tables: Tables, name: str) -> OnDisk:
    """All that lies in the table's folder: the newest version, older ones, the log. One listing."""
    folder = tables.spark._jvm.org.apache.hadoop.fs.Path(tables.path(name))  # type: ignore[union-attr]
    system = folder.getFileSystem(tables.spark._jsc.hadoopConfiguration())
    content = system.getContentSummary(folder)
    return OnDisk(int(content.getFileCount()), int(content.getLength()))


@contextmanager
def _vacuuming(tables: Tables) -> Iterator[None]:
    """Settings of the session within which VACUUM takes any hours, and lists a folder in as many tasks as there are slots:
    by default it takes 10,000."""
    conf = tables.spark.conf
    settings = {_RETENTION_CHECK: "false", _LISTING_TASKS: str(tables.spark.sparkContext.defaultParallelism)}
    before = {key: conf.get(key, None) for key in settings}
    try:
        for key, wanted in settings.items():
            conf.set(key, wanted)
        yield
    finally:
        for key, value in before.items():
            conf.unset(key) if value is None else conf.set(key, value)


def _rewrite_deletion_vectors(tables: Tables, name: str) -> None:
    """Write anew the files of which some rows are marked as deleted, where the table may have such."""
    detail = tables.handle(name).detail().select("properties").head()
    assert detail is not None
    if detail[0].get(_DELETION_VECTORS, "false") == "true":
        _set_property(tables, name, _DELETION_VECTORS, "false")
        tables.spark.sql(f"REORG TABLE {tables.sql_name(name)} APPLY (PURGE)")


def _set_property(tables: Tables, name: str, key: str, value: str) -> None:
    tables.spark.sql(f"ALTER TABLE {tables.sql_name(name)} SET TBLPROPERTIES ('{key}' = '{value}')")


def older_logs(names: Iterable[str], version: int) -> list[str]:
    """Of the files of a Delta log those that only versions before `version` need.

    >>> older_logs(["00000000000000000003.json", "00000000000000000004.checkpoint.parquet", "_last_checkpoint"], 4)
    ['00000000000000000003.json']
    """
    found = [(name, _OF_VERSION.match(name)) for name in names]
    # a checkpoint just made by delta-rs is one file: parts that lie beside the log are of older ones
    return [name for name, of in found if (of and int(of[1]) < version) or name.startswith("_sidecars/")]
