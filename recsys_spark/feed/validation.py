"""The held-out lists that a rank validates on, as padded arrays: a bounded sample of users, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from recsys_spark import columns as c
from recsys_spark.feed.petastorm import as_url
from recsys_spark.files import LiveFile
from recsys_spark.hashing import hash_of

PADDING = -1


@dataclass(frozen=True)
class HeldOut:
    """Lists to rank: `users` (U,), `items` (U, C) with `PADDING` behind each list, `relevant` (U, C)."""

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    relevant: npt.NDArray[np.bool_]


def held_out(files: Sequence[LiveFile], rank: int, ranks: int, most_users: int) -> HeldOut:
    """A rank's share of the held-out users: those that hash to it, and of them at most `most_users / ranks` (0: all).

    The sample is by hash of the user, so it is the same users on any number of ranks, but for the rounding.
    """
    rows = sum(file.rows for file in files)
    share = 1.0 if not most_users else min(1.0, most_users / max(1, rows))
    tables = [_chosen(file, rank, ranks, share) for file in files]
    lists = pa.concat_tables(tables) if tables else pa.table({name: [] for name in _COLUMNS})
    targets, candidates = (_padded(lists.column(name)) for name in (c.TARGETS, c.CANDIDATES))
    items = np.concatenate([targets, candidates], axis=1)
    relevant = np.zeros(items.shape, dtype=bool)
    relevant[:, : targets.shape[1]] = targets != PADDING
    return HeldOut(lists.column(c.USER_IDX).to_numpy().astype(np.int32), items, relevant)


_COLUMNS = (c.USER_IDX, c.TARGETS, c.CANDIDATES)


def _chosen(file: LiveFile, rank: int, ranks: int, share: float) -> pa.Table:
    filesystem, path = fs.FileSystem.from_uri(as_url(file.url))
    with filesystem.open_input_file(path) as opened:
        lists = pq.ParquetFile(opened).read(columns=list(_COLUMNS))
    hashes = hash_of(0, lists.column(c.USER_IDX).to_numpy())
    in_sample = (hashes >> np.uint64(32)) < np.uint64(int(share * (1 << 32)))
    mine = hashes % np.uint64(ranks) == np.uint64(rank)
    return lists.filter(pa.array(in_sample & mine))


def _padded(lists: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    combined = lists.combine_chunks()
    lengths = combined.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    padded = np.full((len(lengths), int(lengths.max(initial=0))), PADDING, dtype=np.int32)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = combined.flatten().to_numpy()
    return padded
