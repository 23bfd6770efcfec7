"""The table of metrics."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, INT, LONG, RUN, STRING, Table, column

METRICS: Final = Table(
    "metrics",
    "evaluate",
    StructType(
        [
            RUN,
            AS_OF,
            column(c.MODEL_VERSION, STRING, "what was scored: a model_version, or a baseline's name"),
            column(c.MODEL_NAME, STRING, "neumf, popularity, random, ..."),
            column(c.DATASET, STRING, "name of the data set in the configuration"),
            column(c.PROTOCOL, STRING, "sampled: among candidates; full: among all items; ratings: values predicted"),
            column(c.SPLIT, STRING, "train, validation or test"),
            column(c.SEGMENT, STRING, "all, or the users or items it is taken over"),
            column(c.METRIC, STRING, "hr, ndcg, precision, recall, mrr, map, auc, log_loss, rmse, ..."),
            column(c.K, INT, "cut-off of the list; null where the metric has none"),
            column(c.VALUE, DOUBLE, "the figure"),
            column(c.LOW, DOUBLE, "lower end of its 95% confidence interval; null where it has none"),
            column(c.HIGH, DOUBLE, "upper end"),
            column(c.N, LONG, "users (or pairs) it is taken over"),
        ]
    ),
    key=(c.AS_OF_DATE, c.MODEL_VERSION, c.PROTOCOL, c.SPLIT, c.SEGMENT, c.METRIC, c.K),
    partitioned_by=(c.AS_OF_DATE,),
)
