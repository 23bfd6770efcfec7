"""Arrow batches of rows sorted by user, cut so that no user is split between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from recsys_spark import columns as c


def by_whole_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in the same order; each table ends where a user ends.

    The input is sorted by `user_idx`. At most one batch and one user's rows are held at a time.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        users = batch.column(c.USER_IDX).to_numpy(zero_copy_only=False)
        last = int(np.searchsorted(users, users[-1]))  # where the batch's last user begins
        if held and held[-1].column(c.USER_IDX)[-1].as_py() != users[0]:
            yield pa.Table.from_batches(held)
            held = []
        if last > 0:
            yield pa.Table.from_batches([*held, batch.slice(0, last)])
            held = []
        held.append(batch.slice(last))
    if held:
        yield pa.Table.from_batches(held)
