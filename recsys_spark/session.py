"""The one Spark session of a job."""

from __future__ import annotations

import os
import sys

from pyspark.sql import SparkSession

from recsys_spark.errors import UserError
from recsys_spark.settings import RunOptions


def get_session(name: str, options: RunOptions) -> SparkSession:
    """The running session where there is one (spark-submit, Databricks, a notebook), else a local one.

    Delta's extension and jars come from the installation's own Spark defaults; see `make setup`. Only settings of the
    SQL session are changed, and only those that the jobs' results lean on.

    Raises:
        UserError: Spark cannot read Delta tables here.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = SparkSession.builder.appName(f"recsys-spark {name}").getOrCreate()
    has_delta = "DeltaSparkSessionExtension" in (spark.conf.get("spark.sql.extensions", "") or "")
    if not has_delta and "DATABRICKS_RUNTIME_VERSION" not in os.environ:
        raise UserError(
            "this Spark has no Delta: run `make setup`, or start it with spark.sql.extensions="
            "io.delta.sql.DeltaSparkSessionExtension and delta-spark on its class path"
        )
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    # a page that has other bytes than were written is an error, and not other numbers
    spark.conf.set("parquet.page.verify-checksum.enabled", "true")
    spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    if options.shuffle_partitions:
        spark.conf.set("spark.sql.shuffle.partitions", str(options.shuffle_partitions))
    return spark
