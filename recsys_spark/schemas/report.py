"""The table of what is drawn of a trained model."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, RUN, STRING, Table, column

TRAINING_REPORT: Final = Table(
    "training_report",
    "report",
    StructType(
        [
            AS_OF,
            column(c.MODEL_VERSION, STRING, "the model"),
            column(
                c.PICTURE,
                STRING,
                "losses, metrics, scores, calibration, roc, accuracy, segments, summary, layers, folding, neighbours or plane",
            ),
            column(
                c.SERIES, STRING, "what is told apart within the picture, such as a part of the split; empty: nothing"
            ),
            column(
                c.LABEL, STRING, "the epoch, class, group, layer or item_id that the row is of; (others): all not shown"
            ),
            column(c.STATISTIC, STRING, "loss, positives, negatives, observed, found, similarity, x, y, ..."),
            column(c.VALUE, DOUBLE, "the figure"),
            RUN,
        ]
    ),
    key=(c.MODEL_VERSION, c.PICTURE, c.SERIES, c.LABEL, c.STATISTIC),
)
