"""What a rank on another machine is told, and where it finds what `--py-files` brought."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import cloudpickle
import pyspark

from recsys_spark.training.distributed import _environment, _with_shipped_files


def test_the_drivers_paths_stay_with_the_driver():
    credentials = {"AWS_REGION": "eu-west-1", "HOROVOD_TIMELINE": "x", "RECSYS_ROOT": "y", "TF_CPP_MIN_LOG_LEVEL": "0"}
    paths = (
        "HOME",
        "PATH",
        "PYTHONPATH",
        "TMPDIR",
        "TMP",
        "TEMP",
        "JAVA_HOME",
        "SPARK_HOME",
        "SPARK_LOCAL_DIRS",
        "PWD",
    )
    assert _environment(credentials | dict.fromkeys(paths, "/of/the/driver")) == credentials
    assert _environment({}) == {"TF_CPP_MIN_LOG_LEVEL": "2"}


def test_a_rank_imports_from_the_archive_in_the_folder_that_it_starts_in(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "shipped.zip", "w") as archive:
        archive.writestr("only_in_the_archive.py", "def doubled(n):\n    return 2 * n\n")
    monkeypatch.syspath_prepend(str(tmp_path / "shipped.zip"))
    monkeypatch.setattr(pyspark.SparkFiles, "getRootDirectory", lambda: "/of/the/driver")
    spark = SimpleNamespace(sparkContext=SimpleNamespace(_python_includes=["shipped.zip"]))
    start = _with_shipped_files(spark, partial(import_module("only_in_the_archive").doubled, 21))
    (tmp_path / "start").write_bytes(cloudpickle.dumps(start))
    rank = "import pickle, sys; print(pickle.load(open('start', 'rb'))(), 'recsys_spark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", rank], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["42", "False"], done.stderr
