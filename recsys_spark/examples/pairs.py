"""Positives beside their negatives: what a pairwise or pointwise model trains on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.examples.contexts import CONTEXTS, with_contexts
from recsys_spark.examples.negatives import NONE_LEFT, Pool, draw_negatives
from recsys_spark.hashing import pair_keys
from recsys_spark.interactions.pairs import value_in
from recsys_spark.interactions.split import PARTS_OF_FIT
from recsys_spark.schemas import train_examples
from recsys_spark.settings import Examples, Fit
from recsys_spark.transform import Transformer, conform
from recsys_spark.whole_users import map_whole_users

_TIMES: Final = "times"


def train_pairs(
    config: Examples,
    seed: int,
    as_of: date,
    fit: Fit,
    times: Column,
    pool: Broadcast[Pool],
    files: int,
    contexts: DataFrame | None = None,
    conversions: DataFrame | None = None,
) -> Transformer:
    """Interactions -> `schemas.train_examples(K)`: one row a positive of the fit and draw, its K negatives beside it.

    The value is the pair's latest in the fit's parts, so that none comes from past the cut.

    With `strict_train` the user's positives of the fit are barred as negatives, else every positive, those past the cut
    included: then a model learns what the test is from what it never sees as a negative. Two shuffles: the pairs by user, to
    draw; the examples evenly into `files`, to be read in any order. O(positives x draws x K), memory one batch and one user's
    history.

    Args:
        times: how often an interaction is a positive of the fit, each time with negatives of its own.
        pool: what negatives are drawn from, broadcast.
        contexts: `event_contexts` of the fit's parts, where features of the context are declared. The n-th time that a
            pair is a positive has the context of its n-th event: with `times` of 1 that of the first.
        conversions: `(user_idx, item_idx)` of the pairs that convert in the fit's parts, each once, where some types do.
    """
    table = train_examples(config.negatives)
    drawn = StructType([field for field in table.schema if field.name not in (c.AS_OF_DATE, c.FIT)])

    def to_examples(interactions: DataFrame) -> DataFrame:
        value = F.coalesce(value_in(*PARTS_OF_FIT[fit]), F.lit(float("nan"))).cast("float")
        pairs = interactions.select(c.USER_IDX, c.ITEM_IDX, value.alias(c.VALUE), times.cast("int").alias(_TIMES))
        pairs = pairs.transform(_labelled(conversions)).transform(with_contexts(contexts, c.USER_IDX, c.ITEM_IDX))
        if config.strict_train:
            pairs = pairs.where(F.col(_TIMES) > 0)
        examples = pairs.transform(map_whole_users(_drawer(config, seed, pool), drawn, c.ITEM_IDX)).repartition(files)
        sliced = examples.withColumn(c.AS_OF_DATE, F.lit(as_of)).withColumn(c.FIT, F.lit(fit))
        return sliced.transform(conform(table.schema, table.name))

    return to_examples


def _drawer(config: Examples, seed: int, pool: Broadcast[Pool]) -> Callable[[pa.Table], Iterator[pa.RecordBatch]]:
    names = [
        c.DRAW,
        c.USER_IDX,
        c.ITEM_IDX,
        c.VALUE,
        c.CONVERTED,
        c.CONTEXT,
        *(c.negative(k) for k in range(1, config.negatives + 1)),
    ]

    def draw(pairs: pa.Table) -> Iterator[pa.RecordBatch]:
        users, items, values, converted, times = (
            pairs.column(name).to_numpy() for name in (c.USER_IDX, c.ITEM_IDX, c.VALUE, c.CONVERTED, _TIMES)
        )
        barred = pair_keys(users, items)
        users, items, values, converted = (np.repeat(column, times) for column in (users, items, values, converted))
        repeat = np.arange(len(users)) - np.repeat(np.cumsum(times) - times, times)
        contexts = _repeated(pairs.column(CONTEXTS).combine_chunks(), times, repeat)
        for nth in range(config.draws):
            negatives = draw_negatives(seed, nth, users, items, repeat, config.negatives, barred, pool.value)
            kept = negatives[:, 0] != NONE_LEFT
            draws = np.full(int(kept.sum()), nth, dtype=np.int32)
            of_positives = (draws, *(column[kept] for column in (users, items, values, converted)))
            before = [pa.array(column) for column in of_positives]
            drawn = [pa.array(column) for column in negatives[kept].T]
            yield pa.RecordBatch.from_arrays([*before, contexts.filter(pa.array(kept)), *drawn], names)

    return draw


def _labelled(conversions: DataFrame | None) -> Transformer:
    """Pairs -> the same with `converted`. One shuffle, where there are conversions."""
    if conversions is None:
        return lambda pairs: pairs.withColumn(c.CONVERTED, F.lit(float("nan")).cast("float"))
    ones = conversions.withColumn(c.CONVERTED, F.lit(1.0))
    label = F.coalesce(F.col(c.CONVERTED), F.lit(0.0)).cast("float")
    return lambda pairs: pairs.join(ones, on=[c.USER_IDX, c.ITEM_IDX], how="left").withColumn(c.CONVERTED, label)


def _repeated(lists: pa.ListArray, times: npt.NDArray[np.int32], repeat: npt.NDArray[np.int64]) -> pa.Array:
    """The n-th context of a pair for its n-th row, null where it has none."""
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    firsts, lengths = (np.repeat(each, times) for each in (np.cumsum(lengths) - lengths, lengths))
    places = pa.array(firsts + repeat, mask=repeat >= lengths)
    return lists.flatten().take(places)
