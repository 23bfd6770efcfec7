"""Folding: items that come to lie beside each other in the embedding space though their users have nothing in common.

A model that learns from positives alone never sees that two groups of users differ, so it may fold them onto each other
(Xin, Mayoraz, Pham, Lakshmanan and Anderson 2017, "Folding: Why Good Models Sometimes Make Spurious Recommendations").
The measure is the share of items' nearest neighbours that share no user with them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_LIKENESSES_AT_A_TIME: Final = 1 << 22


def nearest_neighbours(vectors: npt.NDArray[Any], neighbours: int) -> npt.NDArray[np.int32]:
    """Each item's nearest others by cosine, in no order: vectors (n, d) -> rows (n, k), k at most n - 1.

    O(n^2 d), the likenesses in blocks of bounded size.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    count = min(neighbours, len(unit) - 1)
    nearest = np.empty((len(unit), max(count, 0)), dtype=np.int32)
    rows = max(1, _LIKENESSES_AT_A_TIME // max(1, len(unit)))
    for start in range(0, len(unit) if count > 0 else 0, rows):
        likeness = unit[start : start + rows] @ unit.T
        own = np.arange(len(likeness))
        likeness[own, start + own] = -np.inf
        nearest[start : start + rows] = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    return nearest


def share_a_user(users: npt.NDArray[Any], items: npt.NDArray[Any], nearest: npt.NDArray[np.int32]) -> Any:
    """Whether anyone took an item and its neighbour: pairs `users` (P,), `items` (P,) -> booleans like `nearest` (n, k).

    O(P k). Pairs of all users are the union of those of some: so a worker may look at its own.
    """
    from scipy.sparse import csc_matrix

    _, rows = np.unique(users, return_inverse=True)
    shape = (int(rows.max(initial=-1)) + 1, len(nearest))
    took = csc_matrix((np.ones(len(rows), np.int32), (rows, items)), shape=shape)
    shared = [np.asarray(took.multiply(took[:, of]).sum(axis=0)).ravel() > 0 for of in nearest.T]
    return np.stack(shared, axis=1) if shared else np.zeros(nearest.shape, bool)
