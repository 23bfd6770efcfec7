"""What is known of users and items beside their events: columns that a rank reads itself, from a slice's live files."""

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


def encoded(files: Sequence[LiveFile], index: str, rows: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """`codes` (rows, S) and `numbers` (rows, D) of `user_encoded` or `item_encoded`, by index; missing where there is no row.

    O(rows): as much memory as the model's own copy.
    """
    codes = np.zeros((rows, 0), dtype=np.int32)
    numbers = np.full((rows, 0), np.nan, dtype=np.float32)
    for file in files:
        table = read_columns(file, [index, c.CODES, c.NUMBERS])
        places = table.column(index).to_numpy()
        known = places < rows
        own_codes, own_numbers = (
            table.column(name).combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(places), -1)
            for name in (c.CODES, c.NUMBERS)
        )
        if codes.shape[1] != own_codes.shape[1] or numbers.shape[1] != own_numbers.shape[1]:
            codes = np.zeros((rows, own_codes.shape[1]), dtype=np.int32)
            numbers = np.full((rows, own_numbers.shape[1]), np.nan, dtype=np.float32)
        codes[places[known]], numbers[places[known]] = own_codes[known], own_numbers[known]
    return codes, numbers
