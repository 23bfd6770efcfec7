"""Declared features of the context, learnt and encoded: those of the moment and place of an event.

Each is learnt on the fit's parts as features of users and items are, and encoded into one binary value a row: the codes as
little-endian int32, then the numbers as float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructField, StructType

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.feature_settings import CategoricalFeature, DenseFeature
from recsys_spark.features.context_sources import CONTEXT, of_context, values_of_events
from recsys_spark.features.encoding import codes_of, numbers_of
from recsys_spark.features.learning import Learnt, learn, read_back, usable
from recsys_spark.features.sources import TRAINED, value_of
from recsys_spark.interactions.split import in_parts
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENT_CONTEXTS
from recsys_spark.settings import Fit
from recsys_spark.tables import SliceKey
from recsys_spark.transform import Transformer, conform

_KINDS: Final[Mapping[str, type[CategoricalFeature | DenseFeature]]] = {
    "categorical": CategoricalFeature,
    "dense": DenseFeature,
}


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


def knowledge(run: Run, fit: Fit) -> list[dict[str, Any]]:
    """What a fit learnt of the context, as plain data that a model's artifact carries. A row a feature comes to the driver.

    Raises:
        UserError: a feature is declared that the fit has not learnt.
    """
    declared = of_context(run.config.features)
    if not declared:
        return []
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
    rows = run.tables.read_slice("feature_specs", where).where(F.col(c.OF) == CONTEXT)
    found = {row[c.FEATURE]: row for row in collect_rows(rows, "features of the context", run.config.run.driver_bytes)}
    new = [feature.name for feature in declared if feature.name not in found]
    if new:
        raise UserError(
            f"feature `{new[0]}` is new in features.declared: run jobs/features.py and jobs/examples.py again"
        )
    kept = (c.FIRST, c.LENGTH, c.SIZE, c.MEAN, c.STD, c.VOCABULARY)
    return [
        {"feature": feature.model_dump(), **{name: found[feature.name][name] for name in kept}} for feature in declared
    ]


def learnt_of(known: Sequence[Mapping[str, Any]]) -> list[Learnt]:
    """`knowledge` as what values are encoded by."""
    return [read_back(_KINDS[one["feature"]["kind"]](**one["feature"]), one) for one in known]


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
