"""Windows of sequences as they are learnt from: what is to be predicted at each place, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import tensorflow as tf

BARRED: Final = -1e9  # a logit that no loss feels; finite, so that no gradient is NaN


class Places(NamedTuple):
    """P chosen places: `rows` (P,) of the batch, `nexts` (P,) the place before the next item, `targets` (P,) that item, and
    `places` (P,) up to which the window is known when it is to be predicted: the same as `nexts` without baskets."""

    rows: Any
    places: Any
    nexts: Any
    targets: Any


class Windows(NamedTuple):
    """The latest items of each window and what can be learnt of them, L places each.

    `items` (B, L + 1) are what is read, `inputs` (B, L), and the last; `targets` (B, L) are what follows each place,
    `read_at` (B, L) the place, never a later one, from which that is to be predicted, and `there` (B, L) whether there is
    something to predict it from.
    """

    items: Any
    inputs: Any
    targets: Any
    read_at: Any
    there: Any


def windows_of(batch: Mapping[str, Any], length: int) -> Windows:
    """The latest `length` items of a batch's windows (B, W + 1) that are read, and those that follow them."""
    window = batch["window"][:, -length - 1 :]
    inputs, targets = window[:, :-1], window[:, 1:]
    kept = tf.shape(inputs)[1]
    if "read_at" in batch:
        earlier = tf.shape(batch["window"])[1] - 1 - kept
        read_at = tf.maximum(batch["read_at"][:, earlier:] - earlier, -1)
    else:
        read_at = tf.broadcast_to(tf.range(kept), tf.shape(inputs))
    known = tf.gather(inputs, tf.maximum(read_at, 0), batch_dims=1) >= 0
    return Windows(window, inputs, targets, tf.maximum(read_at, 0), known & (read_at >= 0) & (targets >= 0))


def some_places(windows: Windows, most: int, seed: Any) -> Places:
    """At most so many places of each window, without repeats, of those that hold an item and have a next one."""
    there = windows.there
    # the places with the greatest of random keys; those that are not known come last
    keys = tf.random.stateless_uniform(tf.shape(there), seed) - 2.0 * tf.cast(~there, tf.float32)
    _, places = tf.math.top_k(keys, tf.minimum(most, tf.shape(there)[1]))
    chosen = tf.where(tf.gather(there, places, batch_dims=1))
    rows, nexts = chosen[:, 0], tf.cast(tf.gather_nd(places, chosen), tf.int64)
    at = tf.stack([rows, nexts], axis=1)
    read_at = tf.cast(tf.gather_nd(windows.read_at, at), tf.int64)
    return Places(rows, read_at, nexts, tf.gather_nd(windows.targets, at))


def up_to(windows: Any, places: Any, length: int) -> Any:
    """The `length` items of each window (P, L + 1) that end at its place (P,), -1 where there is none: (P, length)."""
    back = places[:, tf.newaxis] - tf.range(length - 1, -1, -1, dtype=tf.int64)
    return tf.where(back >= 0, tf.gather(windows, tf.maximum(back, 0), batch_dims=1), -1)


def is_among(drawn: Any, barred: Any) -> Any:
    """Whether each draw, (1, M) or (P, M), is in the row of `barred` (P, W): (P, M). O(P x M x W)."""
    return tf.reduce_any(tf.equal(drawn[:, :, tf.newaxis], barred[:, tf.newaxis, :]), axis=-1)
