"""The table of how the live lists fare, by day."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import BooleanType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DATE, DOUBLE, INT, LONG, RUN, STRING, Table, column

MONITORING: Final = Table(
    "monitoring",
    "monitor",
    StructType(
        [
            AS_OF,
            column(c.VARIANT, STRING, "whose lists"),
            column(c.METRIC, STRING, "what was measured, see monitoring.md"),
            column(c.PART, STRING, "of what: the places of hit_rate and ndcg, the feature of a drift; else empty"),
            column(c.VALUE, DOUBLE, "the figure of the day"),
            column(c.N, LONG, "users, events, items or rows that it is taken over"),
            column(c.LOW, DOUBLE, "the least that is no breach; null: no such bound"),
            column(c.HIGH, DOUBLE, "the most that is no breach; null: no such bound"),
            column(c.METHOD, STRING, "how the bounds came about: t, weekday t, robust t, weekday robust t, or none"),
            column(c.DAYS, INT, "values of earlier days that the bounds were learnt from"),
            column(c.BREACHED, BooleanType(), "whether the figure is out of its bounds"),
            column(c.SINCE, DATE, "the first day of the breach, which is one alarm; null: none"),
            RUN,
        ]
    ),
    key=(c.AS_OF_DATE, c.VARIANT, c.METRIC, c.PART),
    partitioned_by=(c.AS_OF_DATE,),
)
