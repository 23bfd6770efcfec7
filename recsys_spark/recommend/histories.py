"""Users with their histories, out of Arrow batches, as a scorer takes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recsys_spark import columns as c
from recsys_spark.models.users import Users
from recsys_spark.ragged import padded


def users_of(batch: pa.RecordBatch, most: int, n_items: int) -> Users:
    """The users of a batch with their `most` latest items, out of the list column `items`, null for none; 0: no history.

    Items from `n_items` on, newer than the model, are passed over.
    """
    idx = batch.column(c.USER_IDX).to_numpy()
    if not most:
        return Users.without_history(idx)
    lists = batch.column(c.ITEMS)
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    items = lists.flatten().to_numpy()
    known = items < n_items
    kept = np.bincount(np.repeat(np.arange(len(idx)), lengths)[known], minlength=len(idx))
    return Users(idx, padded(kept, items[known], most, in_front=True))
