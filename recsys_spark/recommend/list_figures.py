"""What lists of a block of users look like: how different their items are, and how evenly items are shown. Numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark.ranking import Floats, Placed, ndcg, place_targets

Ints = npt.NDArray[np.int32]


def list_ndcg(items: Ints, targets: Ints, n: int) -> Floats:
    """NDCG@n of lists (U, n) in the order shown, -1 for no item, against targets (U, T), -1 behind short ones.

    NaN for a user without targets; the formula is `ranking.ndcg`'s.
    """
    users, columns = np.nonzero(targets >= 0)
    same = items[users] == targets[users, columns][:, np.newaxis]
    places = np.where(same.any(axis=1), same.argmax(axis=1), -1)
    in_order = np.where(items >= 0, -np.arange(items.shape[1], dtype=float), -np.inf)
    placed: Placed = place_targets(in_order, users, places)
    return ndcg(placed, n)


def vector_diversity(vectors: npt.NDArray[np.floating[Any]], there: npt.NDArray[np.bool_]) -> Floats:
    """Mean over the pairs of a list of 1 - cosine: (U, n, d) of length 1 -> (U,), NaN for fewer than two items.

    Source: Smyth and McClave (2001), "Similarity vs. diversity"; one minus the intra-list similarity of Ziegler, McNee,
    Konstan and Lausen (2005). By sums, O(n d): the cosines of all pairs are the square of the vectors' sum, less their own.

    >>> vector_diversity(np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]]), np.ones((1, 3), bool)).round(4)
    array([0.6667])
    """
    own = np.where(there[:, :, np.newaxis], vectors, 0.0).astype(np.float64)
    alike = (own.sum(axis=1) ** 2).sum(axis=1) - (own**2).sum(axis=(1, 2))
    return _over_pairs(alike, there)


def category_diversity(categories: Ints, there: npt.NDArray[np.bool_]) -> Floats:
    """The share of a list's pairs that are not of one category, (U, n) -> (U,); an unknown category, -1, is like no other.

    >>> category_diversity(np.array([[3, 3, 5]]), np.ones((1, 3), bool)).round(4)
    array([0.6667])
    """
    known = np.sort(np.where(there, categories, -1), axis=1)
    same = np.zeros(len(known))
    for apart in range(1, known.shape[1]):  # equals stand side by side once sorted
        same += ((known[:, apart:] == known[:, :-apart]) & (known[:, apart:] >= 0)).sum(axis=1)
    return _over_pairs(2.0 * same, there)


def _over_pairs(alike: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    many = there.sum(axis=1).astype(float)
    pairs = many * (many - 1.0)
    return np.where(pairs > 0, 1.0 - alike / np.where(pairs > 0, pairs, 1.0), np.nan)


def gini(amounts: Floats) -> float:
    """How unevenly amounts of at least 0 are shared: 0 if all have the same, nearly 1 if one of many has all.

    `sum over i of (2 i - n - 1) x_i / (n sum of x)`, i from 1 in ascending order of x. Source: Gini's index as Shani and
    Gunawardana (2011), "Evaluating recommendation systems", section 8.3.2.3, take it of items, but over n, not n - 1.

    >>> gini(np.array([0.0, 0.0, 0.0, 8.0])), gini(np.ones(5))
    (0.75, 0.0)
    """
    ascending, n = np.sort(amounts), len(amounts)
    total = ascending.sum()
    if not total:
        return float("nan")
    return float((2.0 * np.arange(1, n + 1) - n - 1.0) @ ascending / (n * total))
