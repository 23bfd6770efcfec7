"""Which items are taken together: counted in Spark over users' latest items, the nearest of each item broadcast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.ragged import padded
from recsys_spark.recommend.proposals import Neighbours
from recsys_spark.recommend_settings import CandidateSettings
from recsys_spark.transform import Transformer

_OTHER, _WEIGHT, _PLACE = "other", "weight", "place"
_PAIRS_AT_A_TIME: Final = 1 << 22  # of one user's items with each other, 32 MiB of keys


def neighbours(sequences: DataFrame, config: CandidateSettings, n_items: int, limit: int) -> Neighbours:
    """The `config.neighbours` items nearest to each, by w_ij = n_ij / (sqrt(n_i n_j) + shrinkage), n users with both.

    A user counts once for two items, by the latest `config.counted` events: O(users x counted^2) at most, whoever has a
    million events. Two shuffles, of what partitions have summed up: by pair of items, then by item. n_items x neighbours
    rows come to the driver.

    Args:
        sequences: `(user_idx, items)`, oldest first.
        limit: bytes, see `bounded.collect_columns`.

    Source: Sarwar, Karypis, Konstan and Riedl (2001), "Item-based Collaborative Filtering Recommendation Algorithms".
    """
    nearest = sequences.transform(_weights(config.counted, config.shrinkage)).transform(_nearest(config.neighbours))
    nearest = nearest.persist()
    try:
        came = collect_columns(nearest, [c.ITEM_IDX, _OTHER, _WEIGHT], "items taken together with others", limit)
    finally:
        nearest.unpersist()
    order = np.lexsort((came[_OTHER], -came[_WEIGHT], came[c.ITEM_IDX]))
    items, others, weights = (came[name][order] for name in (c.ITEM_IDX, _OTHER, _WEIGHT))
    lengths = np.bincount(items, minlength=n_items)
    places = padded(lengths, np.arange(len(others), dtype=np.int32))
    there = places >= 0
    table, likeness = np.full(places.shape, -1, np.int32), np.zeros(places.shape, np.float32)
    table[there], likeness[there] = others[places[there]], weights[places[there]]
    return Neighbours(table, likeness)


def _weights(counted: int, shrinkage: float) -> Transformer:
    """Sequences -> `(item_idx, other, weight)`, each pair both ways."""

    def to_weights(sequences: DataFrame) -> DataFrame:
        schema = f"{c.ITEM_IDX} int, {_OTHER} int, {c.USERS} long"
        together = sequences.select(c.ITEMS).mapInArrow(_counter(counted), schema)
        together = together.groupBy(c.ITEM_IDX, _OTHER).agg(F.sum(c.USERS).alias(c.USERS))
        alone = together.where(F.col(c.ITEM_IDX) == F.col(_OTHER))
        of_item = F.broadcast(alone.select(c.ITEM_IDX, F.col(c.USERS).alias("of_item")))
        of_other = F.broadcast(alone.select(_OTHER, F.col(c.USERS).alias("of_other")))
        pairs = together.where(F.col(c.ITEM_IDX) != F.col(_OTHER))
        pairs = pairs.join(of_item, on=c.ITEM_IDX, how="inner").join(of_other, on=_OTHER, how="inner")
        weight = F.col(c.USERS) / (F.sqrt(F.col("of_item") * F.col("of_other")) + F.lit(shrinkage))
        return pairs.select(c.ITEM_IDX, _OTHER, weight.alias(_WEIGHT))

    return to_weights


def _nearest(most: int) -> Transformer:
    best_first = Window.partitionBy(c.ITEM_IDX).orderBy(F.desc(_WEIGHT), _OTHER)
    return lambda pairs: pairs.withColumn(_PLACE, F.row_number().over(best_first)).where(F.col(_PLACE) <= most)


def _counter(counted: int) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Lists of items -> users by pair of items, itself included, summed over as many users as keep within bounds."""

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            lists = [np.unique(items.values.to_numpy()[-counted:]) for items in batch.column(c.ITEMS) if items.is_valid]
            pairs = np.cumsum([len(items) ** 2 for items in lists])
            cuts = np.searchsorted(pairs, np.arange(_PAIRS_AT_A_TIME, pairs[-1] if len(pairs) else 0, _PAIRS_AT_A_TIME))
            for start, end in zip([0, *cuts], [*cuts, len(lists)], strict=True):
                if end > start:
                    yield pa.RecordBatch.from_arrays(
                        [pa.array(values) for values in together(lists[start:end])], [c.ITEM_IDX, _OTHER, c.USERS]
                    )

    return count


def together(lists: list[Any]) -> tuple[Any, Any, Any]:
    """Lists of different items -> `(item, other, users)`: in how many lists each two items are, an item with itself too."""
    lengths = [len(items) for items in lists]
    items = np.concatenate([np.repeat(own, len(own)) for own in lists]).astype(np.int64)
    others = np.concatenate([np.tile(own, n) for own, n in zip(lists, lengths, strict=True)])
    width = int(items.max(initial=0)) + 1
    keys, users = np.unique(items * width + others, return_counts=True)
    return (keys // width).astype(np.int32), (keys % width).astype(np.int32), users.astype(np.int64)
