"""The settings of Spark's SQL session that reading leans on, set while it lasts and put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pyspark.sql import SparkSession

from recsys_spark.settings import Ingest

_BLOCKS: Final = "spark.sql.files.minPartitionNum"
_NANOSECONDS: Final = "spark.sql.legacy.parquet.nanosAsLong"


@contextmanager
def reading(spark: SparkSession, config: Ingest) -> Iterator[None]:
    """What is read within is read the same way in each pass."""
    settings = {
        # files are cut alike in each pass, also where executors come and go between them
        _BLOCKS: spark.conf.get(_BLOCKS, None) or str(spark.sparkContext.defaultParallelism),
        # a text that is no number, or no time, becomes null: it is rejected with its row
        "spark.sql.ansi.enabled": "false",
        "spark.sql.legacy.timeParserPolicy": "CORRECTED",
        # kept rows are read twice and let go: to pack them costs more than it saves
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        # Spark 3.5 knows no nanoseconds; as numbers they can be read
        _NANOSECONDS: str(config.mapping.time_unit == "ns").lower(),
    }
    before = {key: spark.conf.get(key, None) for key in settings}
    try:
        for key, value in settings.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)
