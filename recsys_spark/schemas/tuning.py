"""The table of trials."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import DOUBLE, INT, MAP, RUN, STRING, Table, column

TUNE_TRIALS: Final = Table(
    "tune_trials",
    "tune",
    StructType(
        [
            column("study", STRING, "data set, model, date, and a digest of what its trials have in common"),
            column("trial", INT, "number within the study, from 0; those that were killed have no row"),
            column("status", STRING, "done, pruned or failed"),
            column(c.VALUE, DOUBLE, "tune.metric on validation, at the best epoch; null for a failed trial"),
            column("settings", MAP, "key -> value that was tried, as --set takes it"),
            column("epochs", INT, "epochs trained"),
            column("seconds", DOUBLE, "how long the trial took"),
            column("error", STRING, "what went wrong, for a failed trial"),
            RUN,
        ]
    ),
    key=("study", "trial"),
)
