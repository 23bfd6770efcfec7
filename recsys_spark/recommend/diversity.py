"""Lists whose items differ: maximal marginal relevance, and greedy inference of a determinantal point process. Numpy alone.

Both take a block of users at once, a step a place, and see the candidates through a `Likeness` in [0, 1]. A relevance of
-inf says that there is no candidate.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

# Added to the diagonal, so that a list may be longer than the likeness has dimensions: no item is wholly told by others.
_OWN: Final = 0.01
_LEAST_VARIANCE: Final = 1e-6
_ROUNDING: Final = 1e-5  # of a likeness


class Likeness(Protocol):
    """How alike the candidates of each user are, 1 for two that are the same."""

    def to(self, chosen: npt.NDArray[Any]) -> Floats:
        """Each candidate's likeness to the one that was chosen in its row: (U,) places -> (U, C)."""


class ByVectors:
    """(1 + cosine) / 2 of vectors (U, C, d) of length 1; a vector of zeros is halfway like all. O(C d) a user and step.

    As in Chen, Zhang and Zhou (2018), section 6: a constant beside each vector keeps the likeness from being negative.
    """

    def __init__(self, vectors: Floats) -> None:
        self._rows = np.arange(len(vectors))
        self._vectors = np.full((*vectors.shape[:2], vectors.shape[2] + 1), np.sqrt(0.5), np.float32)
        np.multiply(vectors, np.float32(np.sqrt(0.5)), out=self._vectors[:, :, :-1])

    def to(self, chosen: npt.NDArray[Any]) -> Floats:
        own = self._vectors[self._rows, chosen][:, :, np.newaxis]
        likeness: Floats = np.matmul(self._vectors, own)[:, :, 0]
        return likeness


class ByCategory:
    """1 for two of the same category, else 0; an unknown category, -1, is like no other. O(C) a user and step."""

    def __init__(self, categories: Ints) -> None:
        self._rows, self._categories = np.arange(len(categories)), categories

    def to(self, chosen: npt.NDArray[Any]) -> Floats:
        own = self._categories[self._rows, chosen][:, np.newaxis]
        likeness: Floats = ((self._categories == own) & (own >= 0)).astype(np.float32)
        return likeness


def mmr(relevance: Floats, likeness: Likeness, n: int, share: float) -> Ints:
    """The n places (U, n) picked of candidates (U, C), in the order of picking, -1 beyond the last candidate.

    Each step takes the candidate i with the greatest

        share * relevance_i - (1 - share) * max over the picked j of likeness_ij,

    of equals the first; before anything is picked the second term is 0. O(n C) a user, beside n calls of the likeness.

    Source: Carbonell and Goldstein (1998), "The use of MMR, diversity-based reranking"; `share` is their lambda.
    """
    rows, there = np.arange(len(relevance)), relevance > -np.inf
    base = np.where(there, np.float32(share) * np.where(there, relevance, 0), -np.inf).astype(np.float32)
    value, picked = base.copy(), np.full((len(relevance), n), -1, np.int32)
    for place in range(min(n, relevance.shape[1])):
        chosen = value.argmax(axis=1)
        picked[:, place] = np.where(value[rows, chosen] > -np.inf, chosen, -1)
        base[rows, chosen] = value[rows, chosen] = -np.inf
        like = likeness.to(chosen)
        like *= np.float32(share - 1.0)
        like += base
        np.minimum(value, like, out=value)  # the nearest of the picked counts
    return picked


def within_reach(relevance: Floats, n: int, share: float) -> int:
    """How many candidates, of rows (U, C) that are sorted by relevance, can be among the n that `mmr` picks of any row.

    A likeness is in [0, 1], so what is worth less at likeness 0 than n others are at 1 never gets its turn. O(U C).
    """
    if n >= relevance.shape[1] or not len(relevance):
        return relevance.shape[1]
    best = np.where(relevance > -np.inf, share * np.maximum(relevance, 0.0), -np.inf)
    worth = best[:, n - 1] - (1.0 - share) - _ROUNDING
    return int((best >= worth[:, np.newaxis]).sum(axis=1).max())


def dpp(relevance: Floats, likeness: Likeness, n: int, share: float) -> Ints:
    """The n places (U, n) picked of candidates (U, C), as `mmr` gives them, by the greatest determinant.

    Each step takes the candidate that adds most to

        share * sum of relevance_i + (1 - share) * log det(S of the picked),

    S the likeness, made definite: S_ij = 0.99 likeness_ij, S_ii = 1. That is greedy inference of the process with kernel
    `q_i S_ij q_j`, `q_i = exp(a relevance_i)`, `a = share / (2 (1 - share))`. A Cholesky factor grows by a row a step, so
    that what a candidate would add, the log of its variance given the picked, is at hand: O(n^2 C) a user, and n C floats.

    Source: Chen, Zhang and Zhou (2018), "Fast greedy MAP inference for determinantal point process to improve
    recommendation diversity", algorithm 1; `share` is their theta.

    Args:
        share: in [0, 1).
    """
    users, candidates = relevance.shape
    rows, there = np.arange(users), relevance > -np.inf
    # q squared, of at most 1; -1: no candidate, or picked
    quality = np.exp(np.float32(share / (1.0 - share)) * (np.where(there, relevance, 0) - 1.0)).astype(np.float32)
    quality[~there] = -1.0
    variance = np.ones((users, candidates), np.float32)
    root = np.empty((users, n, candidates), np.float32)
    picked = np.full((users, n), -1, np.int32)
    for place in range(min(n, candidates)):
        chosen = (quality * variance).argmax(axis=1)
        picked[:, place] = np.where(quality[rows, chosen] >= 0, chosen, -1)
        quality[rows, chosen] = -1.0
        row = likeness.to(chosen)
        row *= np.float32(1.0 - _OWN)
        if place:
            own = root[rows, :place, chosen][:, np.newaxis]
            row -= np.matmul(own, root[:, :place])[:, 0]
        row /= np.sqrt(variance[rows, chosen])[:, np.newaxis]
        root[:, place] = row
        np.maximum(variance - row * row, _LEAST_VARIANCE, out=variance)
    return picked
