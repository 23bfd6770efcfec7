"""Declared features of the context, learnt and encoded: those of the moment and place of an event.

Each is learnt on the fit's parts as features of users and items are, and encoded into one binary value a row: the codes as
little-endian int32, then the numbers as float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark.features.context_sources import of_context, values_of_events
from recsys_spark.features.encoding import codes_of, numbers_of
from recsys_spark.features.learning import Learnt, learn, usable
from recsys_spark.features.sources import TRAINED, value_of
from recsys_spark.interactions.split import in_parts
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENT_CONTEXTS
from recsys_spark.settings import Fit
from recsys_spark.tables import SliceKey
from recsys_spark.transform import Transformer, conform


def learnt_contexts(run: Run, events: DataFrame, fits: Iterable[Fit]) -> dict[Fit, list[Learnt]]:
    """What each fit learns of the context, from the events of its parts alone; nothing where nothing is declared.

    Args:
        events: positive events with their part and what is `carried`, in the partitioning by user.

    Raises:
        UserError: a declaration does not fit the data; nothing has been written yet.
    """
    declared = of_context(run.config.features)
    if not declared:
        return {}
    learnt = {}
    for fit in fits:
        values = events.transform(values_of_events(declared, fit)).where(in_parts(fit)).withColumn(TRAINED, F.lit(True))
        learnt[fit] = learn(values, declared, None, run.config.run.driver_bytes)
    return learnt


def write_contexts(run: Run, events: DataFrame, learnt: Mapping[Fit, Sequence[Learnt]]) -> None:
    """Encode the context of every positive event for each fit: `event_contexts`, a slice a date and fit. O(n log h).

    Args:
        events: as of `learnt_contexts`.
    """
    declared = of_context(run.config.features)
    for fit, of_fit in learnt.items():
        rows = events.transform(values_of_events(declared, fit)).transform(
            packed(of_fit, (c.PART, c.USER_IDX, c.ITEM_IDX, c.POSITION))
        )
        sliced = rows.withColumn(c.AS_OF_DATE, F.lit(run.as_of)).withColumn(c.FIT, F.lit(fit))
        where: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
        contexts = sliced.transform(conform(EVENT_CONTEXTS.schema, EVENT_CONTEXTS.name))
        run.counts[f"event_contexts_{fit}"] = run.tables.replace(EVENT_CONTEXTS, contexts, where)
        run.notes += [f"{fit}: {_note(one)}" for one in of_fit]


def packed(learnt: Sequence[Learnt], keys: Sequence[str]) -> Transformer:
    """Rows with a column of values a feature -> the `keys` and `context`, a binary value a row. One pass, no shuffle."""

    def pack(values: DataFrame) -> DataFrame:
        ready = values.select(*keys, *[usable(one.feature).alias(value_of(one.spec.name)) for one in learnt])
        schema = StructType([*[values.schema[key] for key in keys], StructField(c.CONTEXT, BinaryType())])
        return ready.mapInArrow(_packer(learnt, len(keys)), schema)

    return pack


def _packer(learnt: Sequence[Learnt], keys: int) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            given = {one.spec.name: batch.column(value_of(one.spec.name)) for one in learnt}
            coded = [codes_of(one, given[one.spec.name]) for one in learnt if one.spec.in_codes]
            numbers = [numbers_of(one, given[one.spec.name]) for one in learnt if not one.spec.in_codes]
            rows = np.concatenate([*coded, *[block.view(np.int32) for block in numbers]], axis=1).astype("<i4")
            values = pa.array([row.tobytes() for row in rows], pa.binary())
            yield pa.RecordBatch.from_arrays([*batch.columns[:keys], values], [*batch.schema.names[:keys], c.CONTEXT])

    return pack


def _note(one: Learnt) -> str:
    """`feature store of the context: 40 values learnt, 12 missing`."""
    words = [] if one.vocabulary is None else [f"{len(one.vocabulary):,} values learnt"]
    return f"feature {one.spec.name} of the context: {', '.join([*words, f'{one.missing:,} missing'])}"
