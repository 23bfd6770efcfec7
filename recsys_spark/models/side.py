"""What is known of users and items beside their index: declared features as vectors, a missing one masked, never zero.

The encoded features are weights that are not trained: a saved model carries them, and scores as it was trained to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from recsys_spark.features.spec import NO_VALUE, FeatureSpec, codes_length

_STDDEV = 0.05


def feature_specs_of(specs: Sequence[FeatureSpec | Mapping[str, Any]]) -> list[FeatureSpec]:
    """Specs, some of them perhaps as mappings, as a saved model has them."""
    return [spec if isinstance(spec, FeatureSpec) else FeatureSpec(**spec) for spec in specs]


class SideTable(keras.layers.Layer):
    """The encoded features of all users, or of all items: `codes` (rows, S) integers and `numbers` (rows, D) floats.

    Args:
        specs: the features, in the form of `features.spec.FeatureSpec`, as mappings or themselves.
        rows: users or items.
    """

    def __init__(self, specs: Sequence[FeatureSpec | Mapping[str, Any]], rows: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.specs = feature_specs_of(specs)
        self.n_rows = rows

    def build(self, input_shape: Any = None) -> None:
        """Make the tables, of missing values throughout."""
        slots = max([spec.first + spec.length for spec in self.specs if spec.in_codes], default=1)
        places = max([spec.first + spec.length for spec in self.specs if not spec.in_codes], default=1)
        missing = keras.initializers.Constant(np.nan)
        self.codes = self.add_weight(
            shape=(self.n_rows, slots), initializer="zeros", dtype="int32", trainable=False, name="codes"
        )
        self.numbers = self.add_weight(
            shape=(self.n_rows, places), initializer=missing, trainable=False, autocast=False, name="numbers"
        )

    def fill(self, codes: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]) -> None:
        """Take the encoded features.

        Raises:
            ValueError: they are of another shape, or a code lies outside its feature's vocabulary.
        """
        for name, given, table in (("codes", codes, self.codes), ("numbers", numbers, self.numbers)):
            wanted = (self.n_rows, table.shape[1])
            if given.size and given.shape != wanted:
                raise ValueError(f"{name} of shape {given.shape}, expected {wanted}: run jobs/features.py again")
        for spec in self.specs:
            if spec.size is not None and (found := codes[:, spec.first : spec.first + spec.length]).max() >= spec.size:
                raise ValueError(f"feature {spec.name} has code {found.max()}, its vocabulary ends at {spec.size - 1}")
        if codes.size:
            self.codes.assign(codes)
        if numbers.size:
            self.numbers.assign(numbers)


class FeatureEncoder(keras.layers.Layer):
    """Encoded features as one vector a row: the mean of the vectors of those features that are there.

    A categorical value has an embedding of its own, as have missing and unknown ones; a multi-hot feature is the mean of
    its values'; a dense one is its number times a vector, or another vector where it is missing; text and other vectors
    are projected, and left out of the mean where they are missing. O(features x width) a row.
    """

    def __init__(self, specs: Sequence[FeatureSpec], width: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.specs, self.width, self._seed = specs, width, seed

    def build(self, input_shape: Any = None) -> None:
        """Make each feature's weights."""
        self._weights_of = []
        for number, spec in enumerate(self.specs):
            rows = spec.size if spec.size is not None else 2 if spec.kind == "dense" else spec.length
            start = keras.initializers.RandomNormal(stddev=_STDDEV, seed=self._seed + number)
            self._weights_of.append(
                self.add_weight(shape=(rows, self.width), initializer=start, autocast=False, name=spec.name)
            )

    def encode(self, codes: Any, numbers: Any) -> Any:
        """(n, S) codes and (n, D) numbers -> (n, width), float32."""
        vectors, present = [], []
        for spec, weights in zip(self.specs, self._weights_of, strict=True):
            own = (codes if spec.in_codes else numbers)[:, spec.first : spec.first + spec.length]
            vector, there = _coded(own, weights) if spec.in_codes else _numbered(own, weights, spec.kind)
            vectors.append(vector * there)
            present.append(there)
        return tf.add_n(vectors) / tf.maximum(tf.add_n(present), 1.0)


class SideEncoder(FeatureEncoder):
    """The features of users or items in a `SideTable`, by their indices."""

    def __init__(self, table: SideTable, width: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(table.specs, width, seed, **kwargs)
        self._table = table

    def call(self, indices: Any) -> Any:
        """(...,) indices, -1 for one that is not known -> (..., width), zeros for that."""
        flat = tf.reshape(indices, [-1])
        known = tf.maximum(flat, 0)
        mean = self.encode(tf.gather(self._table.codes.value, known), tf.gather(self._table.numbers.value, known))
        mean *= tf.cast(flat >= 0, mean.dtype)[:, tf.newaxis]
        shaped = tf.reshape(mean, tf.concat([tf.shape(indices), [self.width]], axis=0))
        return tf.cast(shaped, self.compute_dtype)


class ContextEncoder(FeatureEncoder):
    """The features of the context of an event, which come with it: codes, then numbers, packed as `features.contexts` does.

    In training the whole context of some rows is left out, so that a score without one means something too.

    Args:
        left_out: the share of them.
    """

    def __init__(
        self, specs: Sequence[FeatureSpec], width: int, seed: int = 0, left_out: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(specs, width, seed, **kwargs)
        self._slots = codes_length(specs, "context")
        self.drop = keras.layers.Dropout(left_out, noise_shape=(None, 1), seed=seed)
        self._kept = 1.0 - left_out

    def call(self, context: Any, training: bool = False) -> Any:
        """(..., W) integers -> (..., width), zeros where all of them are `NO_VALUE`."""
        flat = tf.reshape(context, [-1, tf.shape(context)[-1]])
        vectors = self.encode(flat[:, : self._slots], tf.bitcast(flat[:, self._slots :], tf.float32))
        given = tf.cast(tf.reduce_any(flat != NO_VALUE, axis=1, keepdims=True), tf.float32)
        vectors = self.drop(vectors * given, training=training)
        vectors = vectors * self._kept if training else vectors  # left out, not made up for by the others
        shaped = tf.reshape(vectors, tf.concat([tf.shape(context)[:-1], [self.width]], axis=0))
        return tf.cast(shaped, self.compute_dtype)


def _coded(codes: Any, weights: Any) -> tuple[Any, Any]:
    """(n, slots) codes, -1 where there is none -> the mean of their embeddings (n, width), and ones (n, 1)."""
    there = tf.cast(codes >= 0, tf.float32)[..., tf.newaxis]
    found = tf.gather(weights.value, tf.maximum(codes, 0)) * there
    mean = tf.reduce_sum(found, axis=1) / tf.maximum(tf.reduce_sum(there, axis=1), 1.0)
    return mean, tf.cast(tf.reduce_any(codes >= 0, axis=1, keepdims=True), tf.float32)


def _numbered(numbers: Any, weights: Any, kind: str) -> tuple[Any, Any]:
    """(n, places) numbers, NaN where missing -> vectors (n, width), and whether the feature takes part (n, 1)."""
    there = tf.cast(~tf.reduce_any(tf.math.is_nan(numbers), axis=1, keepdims=True), tf.float32)
    values = tf.where(tf.math.is_nan(numbers), 0.0, numbers)
    table = tf.convert_to_tensor(weights.value)
    if kind == "dense":
        return there * values * table[:1] + (1.0 - there) * table[1:], tf.ones_like(there)
    return tf.matmul(values, table), there
