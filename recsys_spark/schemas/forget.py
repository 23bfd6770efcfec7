"""Tables of who was forgotten: keyed hashes alone, never an id."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import MapType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import LONG, RUN, STRING, TIME, Table, column

_KEYED_HASH = column(c.KEYED_HASH, STRING, "HMAC-SHA256 of the user_id, in hex; the key stands in no table")

SUPPRESSED: Final = Table(
    "suppressed",
    "forget",
    StructType(
        [
            _KEYED_HASH,
            column(c.KEY_ID, STRING, "which key it was made with: eight hex digits of a hash of that key"),
            column("suppressed_at", TIME, "from when on the person is kept out"),
            RUN,
        ]
    ),
    key=(c.KEYED_HASH,),
)

FORGOTTEN: Final = Table(
    "forgotten",
    "forget",
    StructType(
        [
            _KEYED_HASH,
            column("forgotten_at", TIME, "when the run had removed all that it removes"),
            column("removed", MapType(STRING, LONG), "table -> rows that the run removed, of all its people"),
            column(
                "users_version",
                LONG,
                "version of users that has a tombstone: models trained on it or later know nobody",
            ),
            column("certificate", STRING, "where the run's certificate lies"),
            RUN,
        ]
    ),
    key=(c.RUN_ID, c.KEYED_HASH),
)

BROKEN_RUNS: Final = Table(
    "broken_runs",
    "forget",
    StructType(
        [
            column(c.RUN_ID, STRING, "the run that can no longer be reproduced, see runs"),
            column("stage", STRING, "its stage"),
            column("table_name", STRING, "the table that it read"),
            column("version", LONG, "the version of it, which is gone"),
            column("broken_by", STRING, "the run that removed that version"),
            column("broken_at", TIME, "when"),
        ]
    ),
    key=(c.RUN_ID, "stage", "table_name"),
)
