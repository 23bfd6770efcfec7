"""What a user's held-out items are ranked among in the sampled protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.examples.negatives import Pool, draw_candidates
from recsys_spark.hashing import pair_keys
from recsys_spark.interactions.pairs import value_in
from recsys_spark.interactions.split import TEST, VALIDATION
from recsys_spark.schemas import EVAL_EXAMPLES
from recsys_spark.transform import Transformer, conform
from recsys_spark.whole_users import map_whole_users

_IS_TARGET: Final = "is_target"
_TAKEN: Final = "taken"
_DRAW_OF_PART: Final = {VALIDATION: 0, TEST: 1}
_DRAWN = StructType([field for field in EVAL_EXAMPLES.schema if field.name not in (c.AS_OF_DATE, c.PART)])


def drawn_candidates(
    as_of: date, part: str, is_target: Column, count: int, seed: int, pool: Broadcast[Pool]
) -> Transformer:
    """Interactions -> `schemas.EVAL_EXAMPLES`: a row a user with targets, with `count` items that user never took.

    One shuffle by user; O(targeted users x count). The candidates depend on seed, part and user alone.
    """

    def to_examples(interactions: DataFrame) -> DataFrame:
        value = value_in(part).alias(c.VALUE)
        pairs = interactions.select(c.USER_IDX, c.ITEM_IDX, value, is_target.alias(_IS_TARGET))
        draw = _drawer(count, seed, _DRAW_OF_PART[part], pool)
        return pairs.transform(map_whole_users(draw, _DRAWN, c.ITEM_IDX)).transform(_slice(as_of, part))

    return to_examples


def given_candidates(as_of: date, part: str, is_target: Column, negatives: DataFrame) -> Transformer:
    """Interactions -> `schemas.EVAL_EXAMPLES` with the candidates of a file, `(user_idx, candidates)`."""

    def to_examples(interactions: DataFrame) -> DataFrame:
        targets = interactions.where(is_target).groupBy(c.USER_IDX)
        by_item = F.array_sort(F.collect_list(F.struct(c.ITEM_IDX, value_in(part).alias(c.VALUE))))
        collected = targets.agg(by_item.alias(_TAKEN)).select(
            c.USER_IDX,
            F.col(_TAKEN)[c.ITEM_IDX].alias(c.TARGETS),
            F.col(_TAKEN)[c.VALUE].alias(c.VALUES),
        )
        # some of the NCF paper's own files list a test item among its negatives too
        listed = collected.join(negatives, on=c.USER_IDX, how="inner")
        others = F.array_except(c.CANDIDATES, c.TARGETS)
        return listed.withColumn(c.CANDIDATES, others).transform(_slice(as_of, part))

    return to_examples


def _drawer(count: int, seed: int, nth: int, pool: Broadcast[Pool]) -> Callable[[pa.Table], Iterator[pa.RecordBatch]]:
    def draw(pairs: pa.Table) -> Iterator[pa.RecordBatch]:
        users, items = (pairs.column(name).to_numpy() for name in (c.USER_IDX, c.ITEM_IDX))
        keys = pair_keys(users, items)
        targets = pairs.filter(pairs.column(_IS_TARGET))
        of_user, counts = np.unique(targets.column(c.USER_IDX).to_numpy(), return_counts=True)
        firsts = np.asarray(np.searchsorted(users, of_user))
        ends = np.asarray(np.searchsorted(users, of_user, side="right"))
        candidates = [
            draw_candidates(seed, nth, int(user), count, keys[first:end], pool.value)
            for user, first, end in zip(of_user, firsts, ends, strict=True)
        ]
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        columns = {
            c.USER_IDX: pa.array(of_user, pa.int32()),
            c.TARGETS: pa.ListArray.from_arrays(offsets, targets.column(c.ITEM_IDX).combine_chunks()),
            c.VALUES: pa.ListArray.from_arrays(offsets, targets.column(c.VALUE).combine_chunks()),
            c.CANDIDATES: pa.array(candidates, pa.list_(pa.int32())),
        }
        yield pa.RecordBatch.from_pydict(columns)

    return draw


def _slice(as_of: date, part: str) -> Transformer:
    def add(frame: DataFrame) -> DataFrame:
        sliced = frame.withColumn(c.AS_OF_DATE, F.lit(as_of)).withColumn(c.PART, F.lit(part))
        return sliced.transform(conform(EVAL_EXAMPLES.schema, EVAL_EXAMPLES.name))

    return add
