"""Checks that need Spark: Delta's extension and jar, the executors' Python, a table written to the root and deleted."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from recsys_spark.doctor.finding import BrokenError, Context

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from recsys_spark.tables import Tables

_EXTENSION: Final = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG: Final = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
# modules that executors and driver must agree on
_SAME: Final = ("recsys_spark", "numpy", "pyarrow", "tensorflow", "horovod", "petastorm")
_SENT: Final = 10  # rows of the table written to try the root


@dataclass(frozen=True)
class Interpreter:
    """One Python: the host and executable, and the version of each module, or why it cannot be imported."""

    host: str
    executable: str
    versions: Mapping[str, str]


def delta(context: Context) -> str:
    """Spark has Delta's SQL extension and catalogue, and a jar of the version of the Python package."""
    jars = "make setup, or spark-submit --packages io.delta:delta-spark_2.12:" + metadata.version("delta-spark")
    catalog = context.spark.conf.get("spark.sql.catalog.spark_catalog", "")
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return "the runtime's own"
    if catalog != _CATALOG:
        raise BrokenError(
            f"spark.sql.catalog.spark_catalog is {catalog or 'not set'}, expected {_CATALOG}",
            f"spark-submit --conf spark.sql.catalog.spark_catalog={_CATALOG}, or make setup",
        )
    jar = _jar_of_delta(context.spark)
    if jar is None:
        raise BrokenError(f"the class {_EXTENSION} is on no class path of Spark", jars)
    version, wanted = re.search(r"-(\d+\.\d+\.\d+)", jar), metadata.version("delta-spark")
    if version is None or version[1] != wanted:
        raise BrokenError(f"Spark has {jar}, the Python package delta-spark is {wanted}", jars)
    return f"{jar}, extension and catalogue set"


def _jar_of_delta(spark: SparkSession) -> str | None:
    """The name of the jar that Delta's extension comes from; None where there is no such class."""
    from py4j.protocol import Py4JJavaError

    jvm: Any = spark.sparkContext._jvm
    try:
        found = jvm.org.apache.spark.util.Utils.classForName(_EXTENSION, True, False)
    except Py4JJavaError:
        return None
    return str(found.getProtectionDomain().getCodeSource().getLocation().getPath()).rpartition("/")[2]


def executors(context: Context) -> str:
    """The executors' Python has this package and what it computes with, in the driver's versions."""
    here, there = Interpreter(*_looker(_SAME)()), _interpreters(context.spark, _looker(_SAME))
    wrong = differences(here, there)
    if wrong:
        raise BrokenError(
            "; ".join(wrong),
            f"install the same packages on every node, or set spark.pyspark.python to {here.executable} there "
            "(docs/running.md)",
        )
    hosts = len({each.host for each in there})
    return f"{len(there)} workers on {hosts} host(s) have the driver's " + ", ".join(here.versions)


def _interpreters(spark: SparkSession, look: Callable[[], Any]) -> list[Interpreter]:
    """What each of as many tasks as there are slots looks at."""
    slots = spark.sparkContext.defaultParallelism
    looked = spark.sparkContext.parallelize(range(slots), slots).map(lambda _: look())
    return [Interpreter(*each) for each in looked.collect()]


def _looker(modules: Sequence[str]) -> Callable[[], Any]:
    """A function that says what Python it runs in, as the arguments of `Interpreter`.

    It is pickled whole, with nothing of this package, which executors may lack.
    """

    def look() -> Any:
        import importlib
        import os
        import platform
        import socket
        import sys

        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        versions = {"python": platform.python_version()}
        for name in modules:
            try:
                versions[name] = str(importlib.import_module(name).__version__)
            except Exception as error:
                versions[name] = f"not importable ({type(error).__name__}: {error})"
        return socket.gethostname(), sys.executable, versions

    return look


def differences(here: Interpreter, there: Sequence[Interpreter]) -> list[str]:
    """What the executors' interpreters have otherwise than the driver's, each once with one host that has it."""
    first: dict[tuple[str, str], str] = {}
    for each in there:
        for name, version in each.versions.items():
            if version != here.versions.get(name):
                first.setdefault((name, version), f"{each.host} ({each.executable})")
    broken = [
        f"{name} on the driver: {version}" for name, version in here.versions.items() if version.startswith("not ")
    ]
    return broken + [
        f"{name} is {version} on {host}, {here.versions.get(name)} on the driver"
        for (name, version), host in sorted(first.items())
    ]


def root(context: Context) -> str:
    """A table can be written below the root, its log read without Spark, and its files deleted."""
    from recsys_spark.tables import Tables

    if context.root is not None:
        return _tried(Tables(context.spark, context.root))
    with tempfile.TemporaryDirectory(prefix="recsys-doctor-") as folder:
        return f"{_tried(Tables(context.spark, folder))} of this machine; yours was not tried: give --root"


def _tried(tables: Tables) -> str:
    from pyspark.sql.types import StructType

    from recsys_spark.schemas.table import LONG, Table, column

    schema = StructType([column("n", LONG, "a number")])
    table = Table(f"recsys_doctor_{uuid.uuid4().hex[:8]}", "doctor", schema, key=("n",))
    mend = (
        f"let the user of the job write to {tables.root}, or choose another --root (docs/running.md, Where things lie)"
    )
    try:
        tables.append(table, tables.spark.range(_SENT).toDF("n"))
        read, logged = tables.read(table.name).count(), tables.size(table.name).rows
    except Exception as error:
        raise BrokenError(f"{tables.root} cannot be written and read: {_first_line(error)}", mend) from error
    finally:
        left = _deleted(tables, table.name)
    if (read, logged) != (_SENT, _SENT):
        raise BrokenError(f"of {_SENT} rows written to {tables.root} Spark read {read}, delta-rs {logged}", mend)
    if left:
        raise BrokenError(f"the table {table.name} written to try {tables.root} cannot be deleted: {left}", mend)
    return f"wrote, read and deleted a table in {tables.root}"


def _deleted(tables: Tables, name: str) -> str | None:
    """Remove a table that was only a trial; why it is still there, or None."""
    from recsys_spark import storage

    try:
        if tables.in_catalog:
            tables.spark.sql(f"DROP TABLE IF EXISTS {tables.sql_name(name)}")
        else:
            storage.delete_folder(tables.path(name))
    except Exception as error:
        return _first_line(error)
    return None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0]}"
