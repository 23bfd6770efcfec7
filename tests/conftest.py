"""One lazy Spark session for all tests of a worker, and the real data where there is some."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config import load_config
from recsys_spark.runs import Run
from recsys_spark.settings import Config

REAL_DATA = "RECSYS_TEST_DATA"
UNTIL = "RECSYS_TESTS_UNTIL"  # seconds since 1970: what would begin later is skipped, and says so


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First the run of two ranks on each kind of example, which is never to be left out for want of time; then the longest
    file, so that no worker is left with it in the end."""
    first = ("test_ranks.py", "test_readme.py")
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else len(first))


def pytest_runtest_setup(item: pytest.Item) -> None:
    until = os.environ.get(UNTIL)
    if until and time.time() > float(until):
        pytest.skip(f"left out: {UNTIL} is over")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    session = (
        SparkSession.builder.master("local[2]")
        .appName("recsys-spark tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.default.parallelism", "2")
        .config("spark.databricks.delta.snapshotPartitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        # thousands of small queries: what is kept of the past ones would fill the heap, and collecting it the processor
        .config("spark.sql.ui.retainedExecutions", "5")
        .config("spark.ui.retainedJobs", "5")
        .config("spark.ui.retainedStages", "5")
        .config("spark.driver.extraJavaOptions", "-XX:+UseParallelGC")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def make_run(spark: SparkSession, tmp_path: Path) -> Callable[..., Run]:
    """`make_run("index", "split.kind=time", ...)`: a run of that stage with those settings, its root in a new folder."""

    def make(stage: str, *settings: str, as_of: str | None = None, config: Config | None = None) -> Run:
        from datetime import date

        chosen = config or load_config(settings=["run.shuffle_partitions=2", *settings])
        return Run(stage, spark, chosen, str(tmp_path / "root"), "test", date.fromisoformat(as_of) if as_of else None)

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets that RECSYS_TEST_DATA names."""
    folder = os.environ.get(REAL_DATA)
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"{REAL_DATA} does not name a folder with the real data sets")
    return Path(folder)
