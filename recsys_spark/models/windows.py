"""Places of windows to learn from in one step, for models that cannot afford every place."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class Places(NamedTuple):
    """P chosen places: `rows` (P,) of the batch, `places` (P,) in the window, `targets` (P,) the items that follow."""

    rows: Any
    places: Any
    targets: Any


def some_places(window: Any, most: int, seed: Any) -> Places:
    """At most so many places of each window (B, L + 1), without repeats, of those that hold an item and have a next one."""
    known = (window[:, 1:] >= 0) & (window[:, :-1] >= 0)
    # the places with the greatest of random keys; those that are not known come last
    keys = tf.random.stateless_uniform(tf.shape(known), seed) - 2.0 * tf.cast(~known, tf.float32)
    _, places = tf.math.top_k(keys, tf.minimum(most, tf.shape(known)[1]))
    chosen = tf.where(tf.gather(known, places, batch_dims=1))
    rows, place = chosen[:, 0], tf.cast(tf.gather_nd(places, chosen), tf.int64)
    return Places(rows, place, tf.gather_nd(window, tf.stack([rows, place + 1], axis=1)))


def up_to(windows: Any, places: Any, length: int) -> Any:
    """The `length` items of each window (P, L + 1) that end at its place (P,), -1 where there is none: (P, length)."""
    back = places[:, tf.newaxis] - tf.range(length - 1, -1, -1, dtype=tf.int64)
    return tf.where(back >= 0, tf.gather(windows, tf.maximum(back, 0), batch_dims=1), -1)
