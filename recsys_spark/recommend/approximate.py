"""The best items of a query by dot product, approximately: an inverted file of short codes, built once an artifact and kept.

Items are put into lists around centres; a query looks through a share of the lists, those of the centres with the greatest dot
products. There items are compared by codes of four bits a component; of those, several times as many as are asked for are scored
again with their own vectors, so that the order among them is exact. Codes and lists cost little where vectors have any length,
which graphs of neighbours do not bear well: see docs/adr/0012-retrieval-by-short-codes.md.

Sources: Jégou, Douze and Schmid (2011), "Product Quantization for Nearest Neighbor Search"; André, Kermarrec and Le Scouarnec
(2015), "Cache locality is not enough: High-Performance Nearest Neighbor Search with Product Quantization Fast Scan". The index
is that of the library faiss.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import numpy as np

from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.models.selection import Floats, Ints

_INDEX = "index"
_BYTES = 4
_LEAST_CODED: Final = 1024  # with fewer items there is nothing to gain, and too little to learn codes from
_LEARNT_FROM: Final = 50  # items a list, by which its centre and the codes are learnt
_SEED: Final = 42


def built(artifact: str, vectors: Floats, limit: int) -> str:
    """Where the index of an artifact lies, built now if it is not there, on all cores of the driver.

    The lists are 2 sqrt(n), so it takes O(n sqrt(n) d) for n vectors. Once built it stays.

    Args:
        vectors: (n_items, d) of the catalogue.
        limit: bytes that vectors and index may take on the driver.

    Raises:
        UserError: they would take more, or faiss is not installed.
    """
    location = storage.join(artifact, "indices", "ivf")
    if storage.has_folder(location):
        return location
    n_items, width = vectors.shape
    needed = 3 * n_items * _BYTES * (width + 1)  # the vectors, the index with its own copy, and its bytes
    if needed > limit:
        raise UserError(
            f"an index of {n_items:,} items would take {needed:,} bytes on the driver, the limit is {limit:,}; raise "
            "run.driver_bytes if the driver has the memory, or set recommend.candidates.index=exact"
        )
    faiss = _faiss()
    lists = round(2 * math.sqrt(n_items))
    layout = "Flat" if n_items < _LEAST_CODED else f"IVF{lists},PQ{width}x4fs,RFlat"
    index = faiss.index_factory(width, layout, faiss.METRIC_INNER_PRODUCT)
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if n_items >= _LEAST_CODED:
        faiss.extract_index_ivf(
            index
        ).cp.min_points_per_centroid = 1  # fewer cost recall, which is measured: no warning
    index.train(rows[np.random.default_rng(_SEED).permutation(n_items)[: _LEARNT_FROM * lists]])
    index.add(rows)
    manifest = {"library": f"faiss {faiss.__version__}", "layout": layout}
    storage.save_folder(location, manifest, {_INDEX: faiss.serialize_index(index)})
    return location


def nearest(location: str, queries: Floats, most: int, probed: float, rescored: int) -> Ints:
    """Queries (U, d) -> the items of the greatest dot products that are found, best first, -1 behind: (U, most).

    O(sqrt(n) d + probed n d / 8 + most rescored d) a query, on one core.

    Args:
        probed: share of the lists that are looked through.
        rescored: times `most` items are scored with their own vectors.
    """
    faiss, index = _loaded(location)
    asked = np.ascontiguousarray(queries, dtype=np.float32)
    options = None
    if isinstance(index, faiss.IndexRefine):
        lists = faiss.downcast_index(index.base_index).nlist
        inner = faiss.SearchParametersIVF(nprobe=max(1, round(probed * lists)))
        options = faiss.IndexRefineSearchParameters(k_factor=rescored, base_index_params=inner)
    items: Ints = index.search(asked, most, params=options)[1].astype(np.int32)
    return items


@lru_cache(maxsize=1)
def _loaded(location: str) -> tuple[Any, Any]:
    """The library and the index, loaded once a Python process."""
    faiss = _faiss()
    faiss.omp_set_num_threads(1)  # a Spark task has one core
    return faiss, faiss.deserialize_index(np.asarray(storage.load_arrays(location)[_INDEX]))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise UserError(
            "recommend.candidates.index is ivf, and the library faiss is not installed here: install recsys-spark[index] "
            "on the driver and on all executors, or set recommend.candidates.index=exact"
        ) from None
    return faiss
