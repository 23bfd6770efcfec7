"""Item-sized columns that a rank reads itself, from the live files of a table's pinned slice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from recsys_spark import columns as c
from recsys_spark.feed.petastorm import as_url
from recsys_spark.files import LiveFile


def read_columns(file: LiveFile, columns: Sequence[str]) -> pa.Table:
    """Some columns of one file, on any file system."""
    filesystem, path = fs.FileSystem.from_uri(as_url(file.url))
    with filesystem.open_input_file(path) as opened:
        return pq.ParquetFile(opened).read(columns=list(columns))


def item_counts(files: Sequence[LiveFile], n_items: int) -> npt.NDArray[np.float64]:
    """How many events of the fit each item has: (n_items,), 0 for those without. O(items)."""
    counts = np.zeros(n_items)
    for file in files:
        rows = read_columns(file, [c.ITEM_IDX, c.EVENTS])
        items = rows.column(c.ITEM_IDX).to_numpy()
        known = items < n_items
        counts[items[known]] = rows.column(c.EVENTS).to_numpy()[known]
    return counts
