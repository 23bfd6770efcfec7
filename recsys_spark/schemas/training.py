"""The table of models."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, FIT, INT, RUN, STRING, TIME, Table, column

MODELS: Final = Table(
    "models",
    "train",
    StructType(
        [
            column(c.MODEL_VERSION, STRING, "name of the artifact's folder"),
            column(c.MODEL_NAME, STRING, "neumf, ..."),
            AS_OF,
            FIT,
            column("path", STRING, "where the artifact lies"),
            column("evaluated_by", STRING, "model_version of the evaluate fit that vouches for it"),
            column(c.STARTED_FROM, STRING, "model_version whose weights it went on from; null: trained from scratch"),
            column("epochs", INT, "epochs trained"),
            column("validation_ndcg", DOUBLE, "NDCG@10 on validation, for the evaluate fit"),
            column("config_hash", STRING, "hash of the effective configuration"),
            column("created_at", TIME, "when"),
            RUN,
        ]
    ),
    key=(c.MODEL_VERSION,),
)
