"""Values of declared features -> the rows of `user_encoded` and `item_encoded`, and how much of them is unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.feature_settings import DenseFeature, Of
from recsys_spark.features.learning import Learnt, usable
from recsys_spark.features.numbers import Floats, matrix, standardised
from recsys_spark.features.sources import IDX, value_of
from recsys_spark.features.spec import UNKNOWN
from recsys_spark.features.text import projected
from recsys_spark.features.vocabulary import Codes, codes
from recsys_spark.schemas import ITEM_ENCODED, USER_ENCODED, Table
from recsys_spark.settings import Fit
from recsys_spark.transform import Transformer, conform

ENCODED: Final[dict[Of, Table]] = {"user": USER_ENCODED, "item": ITEM_ENCODED}

Encoder = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def encoded(as_of: date, fit: Fit, of: Of, learnt: Sequence[Learnt], seed: int) -> Transformer:
    """Rows of `sources.values` -> `schemas.USER_ENCODED` or `ITEM_ENCODED`, a row each, whether trained on or not.

    One pass without a shuffle, by numpy over batches: O(values). Workers get the vocabularies.
    """
    table = ENCODED[of]
    rows = StructType([table.schema[name] for name in (IDX[of], c.CODES, c.NUMBERS)])

    def encode(values: DataFrame) -> DataFrame:
        for one in learnt:
            if one.weights is not None:
                values = values.transform(projected(value_of(one.spec.name), one.weights, one.spec.length, seed))
        ready = values.select(IDX[of], *[usable(one.feature).alias(value_of(one.spec.name)) for one in learnt])
        sliced = ready.mapInArrow(_encoder(learnt), rows).withColumn(c.AS_OF_DATE, F.lit(as_of))
        return sliced.withColumn(c.FIT, F.lit(fit)).transform(conform(table.schema, table.name))

    return encode


def unknown(rows: DataFrame, learnt: Sequence[Learnt]) -> dict[str, int]:
    """How many values of each feature are unknown: of those in `codes` values, of those in `numbers` entities.

    One pass over the encoded rows.
    """
    counted = rows.agg(*[F.coalesce(F.sum(_unknown(one)), F.lit(0)).alias(one.spec.name) for one in learnt]).head()
    assert counted is not None
    # NaN is what is missing and what is unknown
    return {one.spec.name: counted[one.spec.name] - (0 if one.spec.in_codes else one.missing) for one in learnt}


def _unknown(one: Learnt) -> Column:
    if one.spec.in_codes:
        own = F.slice(c.CODES, one.spec.first + 1, one.spec.length)
        return F.size(F.filter(own, lambda code: code == UNKNOWN))
    return F.isnan(F.col(c.NUMBERS)[one.spec.first]).cast("int")


def _encoder(learnt: Sequence[Learnt]) -> Encoder:
    def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            coded = [codes_of(one, batch.column(value_of(one.spec.name))) for one in learnt if one.spec.in_codes]
            numbers = [
                numbers_of(one, batch.column(value_of(one.spec.name))) for one in learnt if not one.spec.in_codes
            ]
            columns = [
                batch.column(0),
                _lists(coded, batch.num_rows, np.dtype(np.int32)),
                _lists(numbers, batch.num_rows, np.dtype(np.float32)),
            ]
            yield pa.RecordBatch.from_arrays(columns, [batch.schema.names[0], c.CODES, c.NUMBERS])

    return encode


def codes_of(one: Learnt, lists: pa.ListArray) -> Codes:
    """Lists of words as the feature's `(rows, slots)`."""
    assert one.vocabulary is not None
    return codes(lists, one.vocabulary, one.spec.length)


def numbers_of(one: Learnt, values: pa.Array) -> Floats:
    """Values as the feature's `(rows, places)`, NaN where missing."""
    if isinstance(one.feature, DenseFeature):
        assert one.mean is not None
        assert one.std is not None
        return standardised(values, one.mean, one.std)
    return matrix(values, one.spec.length)


def _lists(blocks: Sequence[npt.NDArray[Any]], rows: int, kind: np.dtype[Any]) -> pa.ListArray:
    """Blocks of columns side by side, as one list a row; empty lists where there is no block."""
    table = np.concatenate([np.empty((rows, 0), kind), *blocks], axis=1)
    offsets = np.arange(rows + 1, dtype=np.int32) * table.shape[1]
    return pa.ListArray.from_arrays(offsets, pa.array(table.ravel()))
