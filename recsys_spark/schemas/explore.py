"""The table of what is drawn when data are explored."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, RUN, STRING, Table, column

EXPLORATION: Final = Table(
    "exploration",
    "explore",
    StructType(
        [
            AS_OF,
            column(
                c.PICTURE,
                STRING,
                "overview, users_by, categories, values_by_group, values_by_year, over_time, hours, weekdays, tail, lengths, "
                "repeats, new_by_week, missing, rejected or windows",
            ),
            column(c.SERIES, STRING, "what is told apart within the picture, such as an attribute; empty: nothing"),
            column(
                c.LABEL, STRING, "the group, week, class or figure that the row is of; (others): all that are not shown"
            ),
            column(c.STATISTIC, STRING, "events, users, items, share, n, p5, p25, median, p75, p95, ..."),
            column(c.VALUE, DOUBLE, "the figure"),
            RUN,
        ]
    ),
    key=(c.AS_OF_DATE, c.PICTURE, c.SERIES, c.LABEL, c.STATISTIC),
    partitioned_by=(c.AS_OF_DATE,),
)
