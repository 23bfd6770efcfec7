"""The best items of a query by dot product, approximately: an HNSW graph, built once an artifact and kept beside it.

The graph is of distances. A vector v of length |v| becomes (v, sqrt(M^2 - |v|^2)) with M the greatest length, a query q
becomes (q, 0): then |q - v|^2 = |q|^2 + M^2 - 2 q.v, so that the nearest are those of the greatest dot product.

Sources: Malkov and Yashunin (2018), "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs"; Bachrach et al. (2014), "Speeding Up the Xbox Recommender System Using a Euclidean Transformation for
Inner-Product Spaces". The graph is that of the library faiss.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.models.selection import Floats, Ints

_GRAPH = "graph"
_LINK_BYTES = 4


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
    needed = 2 * n_items * _LINK_BYTES * (width + 1 + 2 * links)  # the graph, and its bytes
    if needed > limit:
        raise UserError(
            f"an index of {n_items:,} items would take {needed:,} bytes on the driver, the limit is {limit:,}; raise "
            "run.driver_bytes if the driver has the memory, or set recommend.candidates.index=exact"
        )
    faiss = _faiss()
    graph = faiss.IndexHNSWFlat(width + 1, links)
    graph.hnsw.efConstruction = construction
    graph.add(lengthened(np.asarray(vectors)))
    manifest = {"library": f"faiss {faiss.__version__}", "links": links, "construction": construction}
    storage.save_folder(location, manifest, {_GRAPH: faiss.serialize_index(graph)})
    return location


def nearest(location: str, queries: Floats, most: int, searched: int) -> Ints:
    """Queries (U, d) -> the items of the greatest dot products that are found, best first, -1 behind: (U, most).

    O(max(searched, most) log n) distances a query, on one core.
    """
    faiss, graph = _loaded(location)
    asked = np.ascontiguousarray(np.pad(queries, ((0, 0), (0, 1))), dtype=np.float32)
    options = faiss.SearchParametersHNSW(efSearch=max(searched, most))
    items: Ints = graph.search(asked, most, params=options)[1].astype(np.int32)
    return items


def lengthened(vectors: Floats) -> Floats:
    """Vectors (n, d) as (n, d + 1) of one length, the greatest of them.

    >>> lengthened(np.array([[3.0, 4.0], [3.0, 0.0]], np.float32))
    array([[3., 4., 0.],
           [3., 0., 4.]], dtype=float32)
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    missing = np.sqrt(np.maximum(squares.max(initial=0.0) - squares, 0.0))
    longer: Floats = np.concatenate([vectors, missing[:, np.newaxis]], axis=1).astype(np.float32)
    return longer


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
