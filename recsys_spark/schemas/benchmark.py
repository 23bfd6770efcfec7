"""The table of benchmarks."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import MapType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, LONG, RUN, STRING, TIME, Table, column

BENCHMARK_CELLS: Final = Table(
    "benchmark_cells",
    "benchmark",
    StructType(
        [
            column(c.DATASET, STRING, "name of the data set in benchmark.datasets"),
            column(c.MODEL_NAME, STRING, "label of the model in benchmark.models"),
            column("seed", LONG, "run.seed of the cell"),
            column(
                "config_hash", STRING, "hash of the cell's effective configuration: one that is there is not run again"
            ),
            column(
                "subject", STRING, "evaluate or refit (the model's fits), popularity or random; null: the cell failed"
            ),
            AS_OF,
            column("figures", MapType(STRING, DOUBLE), "figure by protocol/split/metric@k"),
            column("training_seconds", DOUBLE, "seconds of the fit's epochs, validation and start-up left out"),
            column("parameters", LONG, "numbers in the model's weights"),
            column(c.MODEL_VERSION, STRING, "what was measured, as in metrics below the data set's root"),
            column("error", STRING, "what went wrong, for a cell that failed; it is run again"),
            column("finished_at", TIME, "when"),
            RUN,
        ]
    ),
    key=(c.DATASET, c.MODEL_NAME, "seed", "config_hash", "subject", "finished_at"),
)
