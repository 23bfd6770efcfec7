"""Ranking metrics for blocks of users, exact under ties: the expected value over all orders of tied scores.

Every metric here follows from two counts for each target (a relevant item): how many candidates score above
it, and how many score the same. Targets of a user with equal scores share a tie block: it fills positions
`a+1..a+t`, `r` of its items are relevant, and each of its positions is relevant with probability `r/t`.

Notation: `R` relevant items of the user, those that cannot be ranked included; `K` the cut-off; `rel(p)`
whether position `p` holds a relevant item. A score of -inf says that an item is no candidate: it is never
ranked. A user without relevant items has no value (NaN). The closed forms follow McSherry and Najork, 2008,
"Computing information retrieval performance measures efficiently in the presence of tied scores".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.floating[Any]]
Metric = tuple[str, int | None]

_CHUNK = 1 << 18  # scores compared at a time: small enough to stay in a core's cache
_MANY = 16  # targets of one user from which sorting the row once beats comparing it with each


@dataclass(frozen=True)
class TieBlocks:
    """The tie blocks that hold relevant items, one row each, in order of user and position."""

    user: Ints
    above: Ints  # a: candidates that score higher
    size: Ints  # t
    relevant: Ints  # r
    relevant_above: Ints  # relevant items in the user's blocks before this one

    def inside(self, k: int) -> Ints:
        """How many of each block's positions lie in the first k."""
        return np.clip(k - self.above, 0, self.size)


@dataclass(frozen=True)
class Placed:
    """Where the targets of a block of users stand among the candidates: all that the metrics need.

    `user` is the row of the block; `equal` counts the target itself, and is 0 for one that is never ranked.
    """

    user: Ints  # (T,)
    above: Ints  # (T,)
    equal: Ints  # (T,)
    candidates: Ints  # (U,)

    def only(self, chosen: Bools) -> Placed:
        """The same lists with only the chosen targets relevant: (T,) booleans."""
        return Placed(self.user[chosen], self.above[chosen], self.equal[chosen], self.candidates)

    @cached_property
    def relevant(self) -> Ints:
        """R of each user, (U,)."""
        return np.bincount(self.user, minlength=len(self.candidates)).astype(np.int64)

    @cached_property
    def blocks(self) -> TieBlocks:
        """The tie blocks of the targets that are ranked. O(T log T)."""
        ranked = self.equal > 0
        user, above, equal = self.user[ranked], self.above[ranked], self.equal[ranked]
        order = np.lexsort((above, user))
        user, above, equal = user[order], above[order], equal[order]
        starts = np.flatnonzero(_differs(user) | _differs(above))
        of_user = np.searchsorted(user, user[starts])
        relevant = np.diff(starts, append=len(user))
        if np.any(relevant > equal[starts]):
            raise ValueError("a target of a user is given twice")
        return TieBlocks(user[starts], above[starts], equal[starts], relevant, starts - of_user)

    def per_user(self, by_block: Floats) -> Floats:
        """Figures of the tie blocks summed for each user; NaN for users without relevant items."""
        sums = np.bincount(self.blocks.user, weights=by_block, minlength=len(self.candidates))
        return np.where(self.relevant > 0, sums, np.nan)


def place(scores: Scores, relevant: Bools) -> Placed:
    """Place the relevant items of a block of users, both matrices (U, C).

    Raises:
        ValueError: a score is NaN, or the shapes differ.
    """
    if scores.shape != relevant.shape:
        raise ValueError(f"scores are {scores.shape} and relevant is {relevant.shape}, expected the same shape")
    users, items = np.nonzero(relevant)
    return place_targets(scores, users, items)


def place_targets(scores: Scores, users: npt.NDArray[Any], items: npt.NDArray[Any]) -> Placed:
    """Place targets given as pairs: `users` are rows of `scores` (U, C), `items` its columns.

    No pair may come twice. A column outside 0..C-1 is an item that has no score: its target is never ranked.
    O(C) a target; only the rows of users with many targets are sorted, O(C log C) each.

    Raises:
        ValueError: a score is NaN.
    """
    bad = np.flatnonzero(np.isnan(scores.max(axis=1, initial=-np.inf)))
    if len(bad):
        raise ValueError(f"the scores of {len(bad)} of {len(scores)} users hold NaN, the first in row {bad[0]}")
    users, items = users.astype(np.int64), items.astype(np.int64)
    candidates = np.count_nonzero(scores > -np.inf, axis=1).astype(np.int64)
    known = np.flatnonzero((items >= 0) & (items < scores.shape[1]))
    known = known[scores[users[known], items[known]] > -np.inf]
    own = scores[users[known], items[known]]
    above, equal = np.zeros(len(users), np.int64), np.zeros(len(users), np.int64)
    above[known], equal[known] = _counts(scores, users[known], own)
    return Placed(users, above, equal, candidates)


def _counts(scores: Scores, users: Ints, own: Scores) -> tuple[Ints, Ints]:
    """How many of a row's scores are above each target's own, and how many equal; `users` are the rows."""
    above, equal = np.empty(len(users), np.int64), np.empty(len(users), np.int64)
    many = np.bincount(users, minlength=len(scores)) >= _MANY
    few = np.flatnonzero(~many[users])
    for chunk in _chunks(few, max(1, _CHUNK // max(1, scores.shape[1]))):
        rows, bounds = scores[users[chunk]], own[chunk][:, None]
        above[chunk] = np.count_nonzero(rows > bounds, axis=1)
        equal[chunk] = np.count_nonzero(rows == bounds, axis=1)
    by_user = np.argsort(users, kind="stable")
    starts = np.searchsorted(users[by_user], np.arange(len(scores) + 1))
    for user in np.flatnonzero(many):
        targets, ordered = by_user[starts[user] : starts[user + 1]], np.sort(scores[user])
        not_above = np.searchsorted(ordered, own[targets], side="right")
        above[targets] = len(ordered) - not_above
        equal[targets] = not_above - np.searchsorted(ordered, own[targets], side="left")
    return above, equal


def top_k(scores: Scores, k: int) -> npt.NDArray[np.int32]:
    """The columns of each user's k best scores, best first, equal scores in order of column.

    Scores (U, C) -> (U, k), -1 beyond the last candidate. O(U C): each row is partitioned, never sorted.

    >>> top_k(np.array([[0.5, 0.9, 0.9, -np.inf]]), 5)
    array([[ 1,  2,  0, -1, -1]], dtype=int32)
    """
    best = np.full((len(scores), k), -1, np.int32)
    kept = min(k, scores.shape[1])
    if kept == 0:
        return best
    worst_kept = np.partition(scores, scores.shape[1] - kept, axis=1)[:, scores.shape[1] - kept]
    for row, (own, bound) in enumerate(zip(scores, worst_kept, strict=True)):
        better = np.flatnonzero(own > bound)
        better = better[np.lexsort((better, -own[better]))]
        tied = np.flatnonzero(own == bound)[: kept - len(better)] if bound > -np.inf else better[:0]
        best[row, : len(better) + len(tied)] = np.concatenate((better, tied))
    return best


def hit_rate(placed: Placed, k: int) -> Floats:
    """HR@K: 1 where a relevant item is among the first K (He et al., 2017, "Neural collaborative filtering").

    Under ties one minus the hypergeometric probability `C(t-r, m) / C(t, m)` that the `m` positions inside K
    of the first block with a relevant item hold none.

    >>> hit_rate(place(np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]), np.eye(3)[[1, 1]] > 0), 2)
    array([1.        , 0.66666667])
    """
    first, none_in = _first_block(placed, k)
    found = np.zeros(len(placed.blocks.user))
    found[first] = 1.0 - none_in[np.arange(len(first)), placed.blocks.inside(k)[first]]
    return placed.per_user(found)


def precision(placed: Placed, k: int) -> Floats:
    """Precision@K: `sum over p <= K of rel(p) / K` (Manning, Raghavan and Schuetze, 2008, section 8.4).

    The divisor stays K when there are fewer candidates than that.

    >>> precision(place(np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]), np.eye(3)[[1, 1]] > 0), 2)
    array([0.5       , 0.33333333])
    """
    return _hits(placed, k) / k


def recall(placed: Placed, k: int) -> Floats:
    """Recall@K: `sum over p <= K of rel(p) / R` (Manning, Raghavan and Schuetze, 2008, section 8.4).

    >>> recall(place(np.array([[3.0, 2.0, 1.0]]), np.array([[False, True, True]])), 2)
    array([0.5])
    """
    return _hits(placed, k) / _positive(placed.relevant)


def ndcg(placed: Placed, k: int) -> Floats:
    """NDCG@K with binary relevance (Jaervelin and Kekaelaeinen, 2002; discount as in Burges et al., 2005).

    `DCG = sum over p <= K of rel(p) / log2(1 + p)`, divided by that of a perfect list, which has min(R, K)
    relevant items at its head.

    >>> ndcg(place(np.array([[3.0, 2.0, 1.0]]), np.array([[False, True, False]])), 2)
    array([0.63092975])
    """
    discounts = _running_sums(1.0 / np.log2(np.arange(k) + 2.0))
    blocks, gained = placed.blocks, _between(discounts, placed.blocks, k)
    ideal = discounts[np.minimum(placed.relevant, k)]
    return placed.per_user(blocks.relevant / blocks.size * gained) / _positive(ideal)


def reciprocal_rank(placed: Placed, k: int) -> Floats:
    """MRR@K, one user's part: 1 / position of the first relevant item, 0 beyond K (Voorhees, 1999, TREC-8).

    Under ties the sum over the first block's positions of P(the first relevant item is there) / position.

    >>> reciprocal_rank(place(np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]), np.eye(3)[[1, 1]] > 0), 2)
    array([0.5, 0.5])
    """
    first, none_in = _first_block(placed, k)
    blocks, j = placed.blocks, np.arange(1, k + 1)
    above, inside = blocks.above[first][:, None], blocks.inside(k)[first][:, None]
    # the first relevant item is the block's j-th: none before it, and one there
    first_at_j = np.where(j <= inside, none_in[:, :-1] - none_in[:, 1:], 0.0)
    reciprocal = np.zeros(len(blocks.user))
    reciprocal[first] = (first_at_j / (above + j)).sum(axis=1)
    return placed.per_user(reciprocal)


def average_precision(placed: Placed, k: int) -> Floats:
    """MAP@K, one user's part: `sum over p <= K of rel(p) precision(p) / min(R, K)`.

    Manning, Raghavan and Schuetze, 2008, section 8.4, cut at K; divided by the most that K places can hold,
    so that a perfect list has 1 (`average_precision_of_all` divides by R). Under ties the block's j-th position
    counts `r/t (relevant above + 1 + (j-1)(r-1)/(t-1)) / (a+j)`, in closed form by harmonic numbers.

    >>> average_precision(place(np.array([[4.0, 3.0, 2.0, 1.0]]), np.array([[True, False, True, False]])), 3)
    array([0.83333333])
    """
    blocks, inside = placed.blocks, placed.blocks.inside(k)
    harmonic = _between(_running_sums(1.0 / (np.arange(k) + 1.0)), blocks, k)
    others = (blocks.relevant - 1) / np.maximum(blocks.size - 1, 1)
    summed = (blocks.relevant_above + 1) * harmonic + others * (inside - (blocks.above + 1) * harmonic)
    return placed.per_user(blocks.relevant / blocks.size * summed) / _positive(np.minimum(placed.relevant, k))


def average_precision_of_all(placed: Placed, k: int) -> Floats:
    """The same divided by R, all relevant items: trec_eval's `map_cut`, which some publish as MAP@K.

    A perfect list of K has K / R where R is more than K.

    >>> average_precision_of_all(place(np.array([[3.0, 2.0, 1.0]]), np.array([[True, True, True]])), 2)
    array([0.66666667])
    """
    share: Floats = np.minimum(placed.relevant, k) / _positive(placed.relevant)
    return average_precision(placed, k) * share


def auc(placed: Placed) -> Floats:
    """AUC: the probability that a relevant item scores above another candidate, a tie counting half.

    Hanley and McNeil, 1982; by user, as in Rendle et al., 2009, "BPR". A relevant item that is never ranked
    stands below all. NaN where there is no other candidate.

    >>> auc(place(np.array([[3.0, 2.0, 2.0, 1.0]]), np.array([[False, True, False, False]])))
    array([0.5])
    """
    blocks = placed.blocks
    ranked = np.bincount(blocks.user, weights=blocks.relevant, minlength=len(placed.candidates))
    others = placed.candidates - ranked
    above = blocks.above - blocks.relevant_above
    tied = blocks.size - blocks.relevant
    won = blocks.relevant * (others[blocks.user] - above - 0.5 * tied)
    return placed.per_user(won) / _positive(placed.relevant * others)


AT_K: Final[Mapping[str, Callable[[Placed, int], Floats]]] = {
    "hr": hit_rate,
    "precision": precision,
    "recall": recall,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "map": average_precision,
    "map_cut": average_precision_of_all,
}


def metrics(ks: Sequence[int]) -> list[Metric]:
    """The names of all metrics at those cut-offs, in the order in which `measure` gives them."""
    return [(name, k) for name in AT_K for k in ks] + [("auc", None)]


def measure(placed: Placed, ks: Sequence[int]) -> dict[Metric, Floats]:
    """Every metric at every cut-off, by (name, k): one figure a user, NaN where the user has none.

    >>> scores, relevant = np.array([[3.0, 2.0, 1.0]]), np.array([[False, True, False]])
    >>> measure(place(scores, relevant), [1, 2])["hr", 2]
    array([1.])
    """
    return {(name, k): auc(placed) if k is None else AT_K[name](placed, k) for name, k in metrics(ks)}


def _hits(placed: Placed, k: int) -> Floats:
    blocks = placed.blocks
    return placed.per_user(blocks.relevant * blocks.inside(k) / blocks.size)


def _first_block(placed: Placed, k: int) -> tuple[Ints, Floats]:
    """Each user's first block, and (blocks, k+1): P(no relevant item in its first m positions), m = 0..k."""
    first = np.flatnonzero(placed.blocks.relevant_above == 0)
    size, relevant = placed.blocks.size[first][:, None], placed.blocks.relevant[first][:, None]
    drawn = np.arange(k)
    still_none = np.maximum(size - relevant - drawn, 0) / np.maximum(size - drawn, 1)
    return first, np.concatenate((np.ones((len(first), 1)), np.cumprod(still_none, axis=1)), axis=1)


def _between(sums: Floats, blocks: TieBlocks, k: int) -> Floats:
    """A weight summed over each block's positions inside the first k, from its running sums (k+1,)."""
    end = np.minimum(blocks.above + blocks.size, k)
    summed: Floats = sums[end] - sums[np.minimum(blocks.above, k)]
    return summed


def _running_sums(weights: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(weights)))


def _positive(divisor: npt.NDArray[Any]) -> Floats:
    return np.where(divisor > 0, divisor, np.nan)


def _differs(values: Ints) -> Bools:
    """Where a value differs from the one before it; the first always does."""
    return np.concatenate((np.ones(min(1, len(values)), bool), values[1:] != values[:-1]))


def _chunks(values: Ints, size: int) -> Iterator[Ints]:
    return (values[start : start + size] for start in range(0, len(values), size))
