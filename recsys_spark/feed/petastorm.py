"""Columns out of Parquet files with Petastorm: the one file that knows it.

Petastorm knows nothing of Delta's log, so it is given the live files themselves, never a table's folder. Columns come as
numpy arrays, a row group at a time; they are never turned into rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsys_spark.errors import UserError
from recsys_spark.feed.layouts import Layout
from recsys_spark.files import LiveFile

_READ_AHEAD = 2  # row groups decoded before they are asked for
_SCHEME = "://"


def row_groups(files: Sequence[LiveFile], layout: Layout, seed: int) -> Iterator[npt.NDArray[np.int32]]:
    """Every row group of the files once, in an order drawn from the seed, as (rows, layout.width) integers.

    Raises:
        UserError: a file holds more than one row group, or other rows than Delta's log counts, or of another width.
    """
    # Petastorm 0.13.1 calls what pyarrow 14 deprecates, for every file and row group
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\..*")
        yield from _read(files, layout, seed)


def _read(files: Sequence[LiveFile], layout: Layout, seed: int) -> Iterator[npt.NDArray[np.int32]]:
    from petastorm import make_batch_reader

    rows = 0
    reader = make_batch_reader(
        [as_url(file.url) for file in files],
        schema_fields=[f"^{column}$" for column in layout.columns],
        reader_pool_type="thread",
        workers_count=1,  # one worker keeps the order that the seed gives; it decodes faster than a model trains
        results_queue_size=_READ_AHEAD,
        shuffle_row_groups=True,
        seed=seed % (1 << 31),
        # not 1: a reader of one epoch can end before it has begun, when its feeding thread is done between the two
        # looks that `ThreadPool.get_results` takes; an endless one is simply left after a pass
        num_epochs=None,
    )
    try:
        for group in islice(reader, len(files)):
            block = layout.block([getattr(group, column) for column in layout.columns])
            rows += len(block)
            yield block
    finally:  # not `with`: leaving that prints to stdout for every reader
        reader.stop()
        reader.join()
    counted = sum(file.rows for file in files)
    if rows != counted:
        raise UserError(
            f"the first row groups of {len(files)} example files hold {rows:,} rows, Delta's log counts {counted:,}: a file "
            "must be one row group; lower examples.rows_per_file and run jobs/examples.py again"
        )


def as_url(path: str) -> str:
    """A URL that Petastorm takes: local paths get a scheme, Hadoop's names for object stores their common ones."""
    if path.startswith("file:"):
        return "file://" + path.removeprefix("file:").removeprefix("//")
    if path.startswith("dbfs:/"):
        return "file:///dbfs/" + path.removeprefix("dbfs:/").lstrip("/")
    if _SCHEME not in path:
        return "file://" + str(Path(path).absolute())
    scheme, _, rest = path.partition(_SCHEME)
    return {"s3a": "s3", "s3n": "s3", "abfss": "abfs"}.get(scheme, scheme) + _SCHEME + rest
