"""The figures measured of every user, and the frame that carries them: a row a user, a column a figure.

A measure is a mean over users, or a ratio of two sums over users where `weight` names the divisor's column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql.types import ArrayType, DoubleType, IntegerType, StringType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark import ranking
from recsys_spark.evaluate.users import USER_SEGMENT
from recsys_spark.ranking import Floats

SAMPLED: Final = "sampled"
FULL: Final = "full"
RATINGS: Final = "ratings"
OF_RATINGS: Final = ("rmse", "mae")  # what the ratings protocol reports

ALL: Final = "all"
HEAD: Final = "items_head"
TAIL: Final = "items_tail"
WARM: Final = "items_warm"
COLD: Final = "items_cold"

CATALOGUE: Final = "catalogue"
LISTED: Final = "listed"


@dataclass(frozen=True)
class Measure:
    """One figure of the metrics table, and the columns of the users' frame that it is taken from.

    No figure is below 0; `most` is what it cannot exceed, None for one without such a bound.
    """

    name: str
    k: int | None
    value: str
    weight: str | None = None
    most: float | None = 1.0


LOSS: Final = Measure("loss", None, "loss", "loss_pairs", most=None)


class MetricRow(NamedTuple):
    """One row of `metrics`, without what is the same for all rows of a run."""

    model_version: str
    protocol: str
    split: str
    segment: str
    metric: str
    k: int | None
    value: float
    low: float | None
    high: float | None
    n: int


def measures(protocol: str, ks: Sequence[int]) -> list[Measure]:
    """All measures of a protocol, in the order in which they are reported."""
    of_ranks = [Measure(name, k, at(name, k)) for name, k in ranking.metrics(ks)]
    of_ranks += [
        Measure("unranked_targets", None, "unranked", "targets"),
        Measure("unknown_users", None, "unknown"),
    ]
    if protocol == SAMPLED:
        return [*of_ranks, Measure("log_loss", None, "log_loss", "pairs", most=None), LOSS]
    return of_ranks + [
        measure
        for k in ks
        for measure in (
            Measure("novelty", k, at("novelty", k), most=None),
            Measure("popularity", k, at("popularity", k)),
            Measure("popularity_bias", k, at("popularity", k), "popularity_taken", most=None),
        )
    ]


def at(name: str, k: int | None) -> str:
    """The column of a figure at a cut-off."""
    return name if k is None else f"{name}_{k}"


def figures(of: Sequence[Measure]) -> list[str]:
    """The columns that some measures are taken from, each once."""
    return list(dict.fromkeys(name for measure in of for name in (measure.value, measure.weight) if name))


def user_rows(of: Sequence[Measure]) -> StructType:
    """The schema of the users' frame: a row a user, part, model, and segment (all, and those of items).

    `listed` holds the best items in order, for the segment all of the full protocol. Null figures do not
    count.
    """
    keys = [
        StructField(c.PART, StringType()),
        StructField(c.USER_IDX, IntegerType()),
        StructField(USER_SEGMENT, StringType()),
        StructField(c.MODEL_VERSION, StringType()),
        StructField(c.SEGMENT, StringType()),
        StructField(CATALOGUE, IntegerType()),
        StructField(LISTED, ArrayType(IntegerType())),
    ]
    return StructType(keys + [StructField(name, DoubleType()) for name in figures(of)])


def to_arrow(
    of: Sequence[Measure],
    users: pa.RecordBatch,
    labels: Mapping[str, Any],
    values: Mapping[str, Floats],
    listed: npt.NDArray[np.int32] | None = None,
) -> pa.RecordBatch:
    """A batch in the schema of `user_rows`, keys from the users' own; NaN and figures not given are null."""
    n = users.num_rows
    keys = {
        c.PART: users.column(c.PART),
        c.USER_IDX: users.column(c.USER_IDX),
        USER_SEGMENT: users.column(USER_SEGMENT),
        c.MODEL_VERSION: pa.array([labels[c.MODEL_VERSION]] * n, pa.string()),
        c.SEGMENT: pa.array([labels[c.SEGMENT]] * n, pa.string()),
        CATALOGUE: pa.array(np.full(n, labels[CATALOGUE], np.int32)),
        LISTED: pa.nulls(n, pa.list_(pa.int32())) if listed is None else _lists(listed),
    }
    missing = np.full(n, np.nan)
    columns = {name: pa.array(values.get(name, missing), pa.float64(), from_pandas=True) for name in figures(of)}
    return pa.RecordBatch.from_pydict({**keys, **columns})


def _lists(rows: npt.NDArray[np.int32]) -> pa.ListArray:
    starts = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(starts, rows.ravel())
