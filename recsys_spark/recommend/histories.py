"""Users with their histories, out of Arrow batches, as a scorer takes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recsys_spark import columns as c
from recsys_spark.models.users import Users
from recsys_spark.ragged import Int32s, padded


def users_of(batch: pa.RecordBatch, most: int, n_items: int) -> Users:
    """The users of a batch with their `most` latest items, out of the list column `items`, null for none; 0: no history.

    Items from `n_items` on, newer than the model, are passed over. The context is that of the column `context`, where the
    batch has it.
    """
    idx = batch.column(c.USER_IDX).to_numpy()
    context = _context_of(batch)
    if not most:
        return Users(idx.astype(np.int32), np.empty((len(idx), 0), np.int32), context)
    lists = batch.column(c.ITEMS)
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    items = lists.flatten().to_numpy()
    known = items < n_items
    kept = np.bincount(np.repeat(np.arange(len(idx)), lengths)[known], minlength=len(idx))
    return Users(idx, padded(kept, items[known], most, in_front=True), context)


def _context_of(batch: pa.RecordBatch) -> Int32s | None:
    """The packed contexts (rows, W), all -1 where a row has none."""
    if c.CONTEXT not in batch.schema.names or batch.column(c.CONTEXT).null_count == batch.num_rows:
        return None
    packed = batch.column(c.CONTEXT).to_pylist()
    width = max(len(context or b"") for context in packed)
    return np.frombuffer(b"".join(context or b"\xff" * width for context in packed), "<i4").reshape(len(packed), -1)
