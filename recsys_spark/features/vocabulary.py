"""Vocabularies of categorical and multi-hot features: learnt from the entities trained on, then values as codes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.events.drafts import text_or_none, trimmed
from recsys_spark.feature_settings import CategoricalFeature, MultiHotFeature
from recsys_spark.features.spec import FIRST_OF_VOCABULARY, MISSING, NO_VALUE, UNKNOWN

Vocabulary = Mapping[str, int]
Codes = npt.NDArray[np.int32]

_ENTRY: Final = "entry"
_TIMES: Final = "times"
_CODE: Final = "code"


def words(feature: CategoricalFeature | MultiHotFeature, value: Column) -> Column:
    """A feature's different values, trimmed, in their own order: `array<string>`, null where there is none."""
    if isinstance(feature, CategoricalFeature):
        word = text_or_none(value)
        return F.when(word.isNotNull(), F.array(word))
    parts = F.transform(F.split(value, re.escape(feature.separator)), trimmed)
    some = F.array_distinct(F.filter(parts, lambda part: part != ""))
    return F.when(F.size(some) > 0, some)


def vocabularies(
    trained: DataFrame, features: Sequence[CategoricalFeature | MultiHotFeature], limit: int
) -> dict[str, Vocabulary]:
    """The vocabulary of each feature, by name: codes from 2 by falling count of entities, then by value.

    A value of fewer than `min_count` entities, or past the `max_size` most frequent, is left out. One pass over the
    entities and one shuffle of (feature, value); the different values of one feature are sorted in one task. What comes
    to the driver is at most `max_size` values a feature, and `limit` bytes.

    Args:
        trained: the entities trained on, each feature's `words` in a column of its name.
    """
    if not features:
        return {}
    entries = F.concat(*[_entries(feature.name) for feature in features])
    counted = trained.select(F.explode(entries).alias(_ENTRY)).select(f"{_ENTRY}.*").groupBy(c.FEATURE, c.VALUE)
    least = _by_name({feature.name: feature.min_count for feature in features})
    often = counted.agg(F.count("*").alias(_TIMES)).where(F.col(_TIMES) >= least)
    by_count = Window.partitionBy(c.FEATURE).orderBy(F.desc(_TIMES), c.VALUE)
    ranked = often.withColumn(_CODE, F.row_number().over(by_count) + (FIRST_OF_VOCABULARY - 1))
    most = _by_name({feature.name: feature.max_size for feature in features})
    kept = ranked.where(F.col(_CODE) < most + FIRST_OF_VOCABULARY).persist()
    try:
        rows = sorted(
            collect_rows(kept, "the vocabularies of features.declared", limit), key=lambda row: int(row[_CODE])
        )
    finally:
        kept.unpersist()
    return {
        feature.name: {row[c.VALUE]: row[_CODE] for row in rows if row[c.FEATURE] == feature.name}
        for feature in features
    }


def by_code(vocabulary: Vocabulary) -> Vocabulary:
    """The same in the order of its codes, which a table's map need not have."""
    return dict(sorted(vocabulary.items(), key=lambda entry: entry[1]))


def codes(lists: pa.ListArray, vocabulary: Vocabulary, slots: int) -> Codes:
    """Lists of words -> `(lists, slots)` codes: the first `slots` of each, then -1; 0 first where there is no list.

    A word that the vocabulary lacks is 1. O(words), and a hash table of the vocabulary a call.

    Args:
        vocabulary: in the order of its codes.
    """
    known = pa.array(list(vocabulary), pa.string())
    place = pc.index_in(lists.flatten(), value_set=known).fill_null(UNKNOWN - FIRST_OF_VOCABULARY)
    code = place.to_numpy(zero_copy_only=False) + FIRST_OF_VOCABULARY
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(len(lists)), lengths)
    slot = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    fits = slot < slots
    coded = np.full((len(lists), slots), NO_VALUE, np.int32)
    coded[row[fits], slot[fits]] = code[fits]
    coded[lengths == 0, 0] = MISSING
    return coded


def _entries(name: str) -> Column:
    known = F.coalesce(F.col(name), F.array().cast("array<string>"))
    return F.transform(known, lambda word: F.struct(F.lit(name).alias(c.FEATURE), word.alias(c.VALUE)))


def _by_name(numbers: Mapping[str, int]) -> Column:
    """The number of the feature that a row is of."""
    return reduce(
        lambda others, name: F.when(F.col(c.FEATURE) == name, numbers[name]).otherwise(others), numbers, F.lit(None)
    )
