"""Dense features, standardised by the entities trained on, and vectors as they are given."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

Floats = npt.NDArray[np.float32]

_INFINITE: Final = float("inf")


def number(value: Column, log: bool) -> Column:
    """A finite number, of a text too, or null; with `log` its log1p, null where it has none (-1 and below)."""
    as_double = value.cast("double")
    scaled = F.log1p(as_double) if log else as_double
    return F.when(~F.isnan(scaled) & (F.abs(scaled) < _INFINITE), scaled)


def standardised(values: pa.Array, mean: float, std: float) -> Floats:
    """`(x - mean) / std` as `(values, 1)`, NaN for null; not divided where all that was learnt from were alike."""
    numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
    scaled: Floats = ((numbers - mean) / (std or 1.0)).astype(np.float32)
    return scaled.reshape(-1, 1)


def matrix(vectors: pa.ListArray, width: int) -> Floats:
    """Lists of `width` numbers as `(lists, width)`, all NaN where there is none or one of its numbers is not finite."""
    rows = np.full((len(vectors), width), np.nan, np.float32)
    there = vectors.is_valid().to_numpy(zero_copy_only=False)
    rows[there] = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    return rows
