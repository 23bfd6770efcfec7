"""What a user takes again: beside what a model makes of a history, its items themselves, by how often and how long ago.

    exp(score(i)) = exp(h . e_i) + taken(i),   taken(i) = sum over the places t of i in the window of g[age of t]

with g > 0 learned a place, counted from the newest, 0. Under a softmax that is a mixture of two ways to the next item: the model
makes it out of all items, or copies it from the window, where an item's chance grows with its count (CopyNet's sum of two
exponentials, Gu, Lu, Li and Li 2016, "Incorporating copying mechanism in sequence-to-sequence learning"; that repeats need a
way of their own is RepeatNet's point, Ren et al. 2019; that counts are hard to beat in next baskets, Hu et al. 2020, "Modeling
personalized item frequency information for next-basket recommendation"). Items that are not in the window have the dot product
alone and those of the window more than that, so that the best items are still found by dot product.
"""

from __future__ import annotations

from typing import Any, Final

import tensorflow as tf

_LEAST: Final = 1e-30


def at_places(window: Any, weights: Any) -> tuple[Any, Any]:
    """How much a window's own items were taken as of each of its places, which knows those up to itself.

    O(B L^3), as two matrix products.

    Args:
        window: items (B, L), -1 where there is none.
        weights: g (L,).

    Returns:
        taken (B, L, L), as of place p the item at j; and whether j is where that item was last, as of p: others are
        not there yet, or count there.
    """
    same = _same(window, window)
    length = tf.shape(window)[1]
    known = tf.linalg.band_part(tf.ones([length, length]), -1, 0)  # (p, t): t is not after p
    times = tf.einsum("pt,btj->bpj", known, same)
    last = tf.equal(times, tf.linalg.diag_part(times)[:, tf.newaxis]) & (known > 0.0) & (window >= 0)[:, tf.newaxis]
    return tf.einsum("pt,btj->bpj", _by_age(weights, length), same), last


def of_next(window: Any, targets: Any, read_at: Any, weights: Any) -> Any:
    """How much each target was taken as of the place that it is read at: windows, targets and places (B, L) -> (B, L)."""
    by_age = tf.gather(_by_age(weights, tf.shape(window)[1]), read_at)  # (B, L, L)
    return tf.einsum("bpt,btp->bp", by_age, _same(window, targets))


def of_candidates(history: Any, items: Any, weights: Any) -> Any:
    """How much candidates were taken in a history: (B, L) and (B, C) -> (B, C)."""
    newest_last = weights[: tf.shape(history)[1]][::-1]
    return tf.einsum("t,btc->bc", newest_last, _same(history, items))


def at_end(history: Any, weights: Any) -> Any:
    """How much a history's own items were taken, each where it was last, zeros elsewhere: (B, L) -> (B, L)."""
    same = _same(history, history)
    later = tf.linalg.band_part(same, 0, -1) - tf.linalg.band_part(same, 0, 0)  # (t, j), t before j
    is_last = tf.reduce_sum(later, axis=2) == 0.0
    return tf.where(is_last & (history >= 0), of_candidates(history, history, weights), 0.0)


def joined(dots: Any, taken: Any) -> Any:
    """log(exp(dots) + taken), and `dots` where nothing was taken: two of one shape -> the same."""
    beside = tf.math.softplus(tf.math.log(tf.maximum(taken, _LEAST)) - dots)
    return dots + tf.where(taken > 0.0, beside, 0.0)


def _same(window: Any, items: Any) -> Any:
    """Whether they are the same item, which no missing one is: (B, L) and (B, C) -> (B, L, C), float32."""
    equal = tf.equal(window[:, :, tf.newaxis], items[:, tf.newaxis]) & (window >= 0)[:, :, tf.newaxis]
    return tf.cast(equal, tf.float32)


def _by_age(weights: Any, length: Any) -> Any:
    """(p, t): the weight of the place t as of p, zero where t is after p."""
    age = tf.range(length)[:, tf.newaxis] - tf.range(length)
    return tf.where(age >= 0, tf.gather(weights, tf.maximum(age, 0)), 0.0)
