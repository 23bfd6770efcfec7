"""Users with their histories, out of Arrow batches, as a scorer takes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recsys_spark import columns as c
from recsys_spark.models.users import Users, padded


def users_of(batch: pa.RecordBatch, most: int, name: str = c.ITEMS) -> Users:
    """The users of a batch with their `most` latest items out of the list column `name`, null for none; 0: no history."""
    idx = batch.column(c.USER_IDX).to_numpy()
    if not most:
        return Users.without_history(idx)
    lists = batch.column(name)
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return Users(idx, padded(lengths, lists.flatten().to_numpy(), most))
