"""Folding: items that come to lie beside each other in the embedding space though their users have nothing in common.

A model that learns from positives alone never sees that two groups of users differ, so it may fold them onto each other
(Xin, Mayoraz, Pham, Lakshmanan and Anderson 2017, "Folding: Why Good Models Sometimes Make Spurious Recommendations").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def folding(vectors: npt.NDArray[Any], users: npt.NDArray[Any], items: npt.NDArray[Any], neighbours: int = 10) -> float:
    """The share of items' nearest neighbours, by cosine, that share no user with them: vectors (n_items, d) -> [0, 1].

    O(n^2 d) over the n items that anyone took: sample the items of a large catalogue first.

    Args:
        vectors: of the items, as `Recommender.catalogue` gives them.
        users: of each pair (P,).
        items: of each pair (P,), rows of `vectors`.
        neighbours: looked at of each item.

    Raises:
        ValueError: fewer than two items were taken.
    """
    from scipy.sparse import csr_matrix

    taken = np.unique(items)
    if len(taken) < 2:
        raise ValueError(f"{len(taken)} items were taken, expected 2 or more")
    rows = np.searchsorted(taken, items)
    took = csr_matrix((np.ones(len(rows), np.int32), (rows, users)), shape=(len(taken), int(users.max()) + 1))
    unit = vectors[taken] / np.maximum(np.linalg.norm(vectors[taken], axis=1, keepdims=True), 1e-12)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    count = min(neighbours, len(taken) - 1)
    nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    pairs = took[np.repeat(np.arange(len(taken)), count)].multiply(took[nearest.ravel()])
    return float((np.asarray(pairs.sum(axis=1)).ravel() == 0).mean())
