"""How far a trained model's item vectors are folded, from what the users of its fit took. The measure: `models.folding`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.models.folding import nearest_neighbours, share_a_user
from recsys_spark.runs import Run
from recsys_spark.settings import Fit

_NEIGHBOURS: Final = 10
_SHARED: Final = "shared"


def folding(run: Run, fit: Fit, vectors: npt.NDArray[Any]) -> float | None:
    """The share of items' ten nearest neighbours that share no user with them, among `training.folding_items` items, chosen by
    hash, that at least `training.folding_users` users took in the fit; None where fewer than two are so. Rarer items share no
    user with most others however well they lie.

    Users are those of `sequences`, with their latest `features.sequence_length` events. O(items^2 width) on the driver, which
    holds the vectors of the chosen items and ten booleans of each; O(events x 10) on the executors.

    Args:
        vectors: of all items, (n_items, width); they may be mapped into memory.
    """
    where = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
    taken = run.tables.read_slice("item_features", where).where(F.col(c.ITEM_IDX) < len(vectors))
    taken = taken.where(F.col(c.USERS) >= run.config.training.folding_users)
    chosen = taken.orderBy(F.xxhash64(F.lit(run.seed), c.ITEM_IDX), c.ITEM_IDX).limit(run.config.training.folding_items)
    known = collect_columns(chosen, [c.ITEM_IDX], "the items to measure folding on", run.config.run.driver_bytes)
    items = np.sort(known[c.ITEM_IDX])
    if len(items) < 2:
        return None
    nearest = nearest_neighbours(np.asarray(vectors[items]), _NEIGHBOURS)
    histories = run.tables.read_slice("sequences", where).select(c.USER_IDX, c.ITEMS)
    found = histories.mapInArrow(_looked_up(items, nearest), f"{_SHARED} binary")
    shared = np.zeros(nearest.shape, bool)
    for row in found.toLocalIterator():  # one a task
        shared |= np.frombuffer(row[_SHARED], bool).reshape(nearest.shape)
    return float(1.0 - shared.mean())


def _looked_up(
    items: npt.NDArray[Any], nearest: npt.NDArray[np.int32]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Users' histories -> which items share one of them with which of their neighbours, a row a task."""

    def look_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        shared = np.zeros(nearest.shape, bool)
        for batch in batches:
            lists = batch.column(c.ITEMS)
            users = np.repeat(np.arange(len(lists)), lists.value_lengths().to_numpy())
            taken = lists.flatten().to_numpy()
            places = np.minimum(np.searchsorted(items, taken), len(items) - 1)
            is_chosen = items[places] == taken
            shared |= share_a_user(users[is_chosen], places[is_chosen], nearest)
        yield pa.RecordBatch.from_pydict({_SHARED: pa.array([shared.tobytes()], pa.binary())})

    return look_up
