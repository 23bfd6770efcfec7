"""The best items of a query by dot product, approximately: an HNSW graph, built once an artifact and kept beside it.

The graph links items by the dot product itself, which finds more of the best than distances among vectors made equally long.

Sources: Malkov and Yashunin (2018), "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs"; Morozov and Babenko (2018), "Non-metric Similarity Graphs for Maximum Inner Product Search". The graph is
that of the library faiss.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.models.selection import Floats, Ints

_GRAPH = "graph"
_BYTES = 4


def built(artifact: str, vectors: Floats, links: int, construction: int, limit: int) -> str:
    """Where the index of an artifact lies, built now if it is not there: O(n log n) distances for n vectors, on all cores.

    It is deterministic on one core alone: several link items in the order in which they come to them. Once built it stays.

    Args:
        vectors: (n_items, d) of the catalogue.
        limit: bytes that vectors and graph may take on the driver.

    Raises:
        UserError: they would take more, or faiss is not installed.
    """
    location = storage.join(artifact, "indices", f"hnsw-{links}-{construction}")
    if storage.has_folder(location):
        return location
    n_items, width = vectors.shape
    needed = 2 * n_items * _BYTES * (width + 2 * links)  # the graph, and its bytes
    if needed > limit:
        raise UserError(
            f"an index of {n_items:,} items would take {needed:,} bytes on the driver, the limit is {limit:,}; raise "
            "run.driver_bytes if the driver has the memory, or set recommend.candidates.index=exact"
        )
    faiss = _faiss()
    graph = faiss.IndexHNSWFlat(width, links, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = construction
    graph.add(np.ascontiguousarray(vectors, dtype=np.float32))
    manifest = {"library": f"faiss {faiss.__version__}", "links": links, "construction": construction}
    storage.save_folder(location, manifest, {_GRAPH: faiss.serialize_index(graph)})
    return location


def nearest(location: str, queries: Floats, most: int, searched: int) -> Ints:
    """Queries (U, d) -> the items of the greatest dot products that are found, best first, -1 behind: (U, most).

    O(max(searched, most) log n) distances a query, on one core.
    """
    faiss, graph = _loaded(location)
    asked = np.ascontiguousarray(queries, dtype=np.float32)
    options = faiss.SearchParametersHNSW(efSearch=max(searched, most))
    items: Ints = graph.search(asked, most, params=options)[1].astype(np.int32)
    return items


@lru_cache(maxsize=1)
def _loaded(location: str) -> tuple[Any, Any]:
    """The library and the index, loaded once a Python process."""
    faiss = _faiss()
    faiss.omp_set_num_threads(1)  # a Spark task has one core
    return faiss, faiss.deserialize_index(np.asarray(storage.load_arrays(location)[_GRAPH]))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise UserError(
            "recommend.candidates.index is hnsw, and the library faiss is not installed here: install recsys-spark[index] "
            "on the driver and on all executors, or set recommend.candidates.index=exact"
        ) from None
    return faiss
