"""The checks that need Spark: with one where they are well, with fakes where they are not."""

from __future__ import annotations

from importlib import metadata
from types import SimpleNamespace

import pytest

from recsys_spark.config import load_config
from recsys_spark.doctor import cluster
from recsys_spark.doctor.cluster import Interpreter, differences
from recsys_spark.doctor.finding import BrokenError, Context
from recsys_spark.tables import Tables

DRIVER = Interpreter("driver", "/opt/bin/python", {"python": "3.11.9", "numpy": "1.26.4"})


def context(spark, root=None) -> Context:
    made = Context(load_config(), root)
    made.__dict__["spark"] = spark  # the cached property, without a log level for all tests
    return made


def session(**settings):
    return SimpleNamespace(conf=SimpleNamespace(get=lambda key, default: settings.get(key.rpartition(".")[2], default)))


def test_delta_of_this_session(spark):
    assert cluster.delta(context(spark)).startswith(f"delta-spark_2.12-{metadata.version('delta-spark')}.jar")


def test_delta_without_catalogue_or_jar_or_of_another_version(monkeypatch):
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    with pytest.raises(BrokenError, match="spark_catalog is not set"):
        cluster.delta(context(session()))
    with_catalogue = context(session(spark_catalog="org.apache.spark.sql.delta.catalog.DeltaCatalog"))
    monkeypatch.setattr(cluster, "_jar_of_delta", lambda spark: None)
    with pytest.raises(BrokenError, match="on no class path") as broken:
        cluster.delta(with_catalogue)
    assert "--packages io.delta:delta-spark_2.12:3." in broken.value.mend
    monkeypatch.setattr(cluster, "_jar_of_delta", lambda spark: "delta-spark_2.12-2.4.0.jar")
    with pytest.raises(BrokenError, match=r"Spark has delta-spark_2\.12-2\.4\.0\.jar, the Python package"):
        cluster.delta(with_catalogue)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    assert cluster.delta(with_catalogue) == "the runtime's own"


def test_the_workers_of_this_session_have_the_drivers_versions(spark, monkeypatch):
    monkeypatch.setattr(cluster, "_SAME", ("recsys_spark", "numpy"))
    assert cluster.executors(context(spark)) == "2 workers on 1 host(s) have the driver's python, recsys_spark, numpy"


def test_workers_without_a_module_are_named(spark):
    there = cluster._interpreters(spark, cluster._looker(["no_such_module"]))
    assert len(there) == 2
    said = there[0].versions["no_such_module"]
    assert said == "not importable (ModuleNotFoundError: No module named 'no_such_module')"


def test_differences_name_module_version_host_and_python_once():
    other = Interpreter("node7", "/usr/bin/python3", {"python": "3.11.9", "numpy": "not importable (ImportError: no)"})
    older = Interpreter("node8", "/usr/bin/python3", {"python": "3.10.1", "numpy": "1.26.4"})
    assert differences(DRIVER, [DRIVER, DRIVER]) == []
    assert differences(DRIVER, [other, other, older]) == [
        "numpy is not importable (ImportError: no) on node7 (/usr/bin/python3), 1.26.4 on the driver",
        "python is 3.10.1 on node8 (/usr/bin/python3), 3.11.9 on the driver",
    ]


def test_what_neither_side_can_import_is_wrong_all_the_same():
    none = Interpreter("here", "python", {"tensorflow": "not importable (ImportError: no)"})
    assert differences(none, [none]) == ["tensorflow on the driver: not importable (ImportError: no)"]


def test_executors_that_differ_are_told_where_the_drivers_python_is(monkeypatch):
    monkeypatch.setattr(cluster, "_SAME", ())
    monkeypatch.setattr(
        cluster, "_interpreters", lambda spark, look: [Interpreter("node7", "python", {"python": "2.7"})]
    )
    with pytest.raises(BrokenError, match=r"python is 2\.7 on node7") as broken:
        cluster.executors(context(None))
    assert "spark.pyspark.python" in broken.value.mend


def test_a_table_is_written_to_the_root_and_nothing_is_left(spark, tmp_path):
    root = tmp_path / "root"
    assert cluster.root(context(spark, str(root))) == f"wrote, read and deleted a table in {root}"
    assert list(root.iterdir()) == []


def test_a_root_that_cannot_be_written_or_deleted(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")

    def refuse(self, table, frame):
        raise PermissionError(13, "Permission denied")

    fake = SimpleNamespace(range=lambda rows: SimpleNamespace(toDF=lambda name: None))
    monkeypatch.setattr(Tables, "append", refuse)
    with pytest.raises(
        BrokenError, match=r"cannot be written and read: PermissionError: .*Permission denied"
    ) as broken:
        cluster.root(context(fake, str(tmp_path / "file")))
    assert "let the user of the job write" in broken.value.mend
    monkeypatch.setattr(Tables, "append", lambda self, table, frame: 10)
    monkeypatch.setattr(Tables, "read", lambda self, name: SimpleNamespace(count=lambda: 10))
    monkeypatch.setattr(Tables, "size", lambda self, name: SimpleNamespace(rows=10))
    monkeypatch.setattr(cluster, "_deleted", lambda tables, name: "PermissionError: no")
    with pytest.raises(BrokenError, match=r"cannot be deleted: PermissionError: no"):
        cluster.root(context(fake, str(tmp_path)))
    monkeypatch.setattr(Tables, "size", lambda self, name: SimpleNamespace(rows=9))
    with pytest.raises(BrokenError, match=r"of 10 rows written to .* Spark read 10, delta-rs 9"):
        cluster.root(context(fake, str(tmp_path)))
