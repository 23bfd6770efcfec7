"""`user item` a line, in time order within each user: the files of the SASRec papers (Kang and McAuley, 2018).

They have no times. A line's number stands for its time, in seconds from 1970-01-01: right within a user, without
meaning between users.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.events.drafts import Source, event_drafts, trimmed
from recsys_spark.events.fields import field, require_fields, split_fields
from recsys_spark.events.lines import read_lines
from recsys_spark.settings import Ingest

_NAMES: Final = ("user", "item")


def read(spark: SparkSession, config: Ingest) -> Source:
    """The events of one or more files; each starts its own count of lines."""
    require_fields(config.event_id, _NAMES, "ingest.event_id")
    lines = read_lines(spark, [config.path]).rows.withColumn(c.RAW, trimmed(F.col(c.RAW)))
    rows = lines.transform(split_fields(_NAMES, r"\s+", "blanks"))
    events = event_drafts(
        rows,
        user_id=field(rows, "user"),
        item_id=field(rows, "item"),
        event_time=F.timestamp_seconds(c.LINE),
        time_text=F.col(c.LINE),
        event_type=F.lit(config.event_type),
        key=[field(rows, name) for name in config.event_id],
    )
    return Source(events, keyed=bool(config.event_id))
