"""A deep network from what is known of a user to a softmax over items.

Source: Covington, Adams and Sargin (2016), "Deep Neural Networks for YouTube Recommendations", RecSys '16, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from recsys_spark.models.sequence import SequenceModel


@keras.saving.register_keras_serializable(package="recsys_spark")
class SoftmaxDNN(SequenceModel):
    """query = MLP(mean of the history's item vectors, declared features of the user, of the context); score = query . e_i.

    The history is a bag: its order is not read, but each place of a window is learnt from with what came before it. Full
    softmax for small catalogues, sampled softmax with logQ correction for large ones (`loss_name`). O(layers) a place.

    Trained on positives alone, items of users who have nothing in common may come to lie beside each other (*folding*);
    negatives from the whole catalogue push them apart: see `models.folding`.

    Args:
        layers: units of each hidden layer of the query tower, before the last, of `width`.
        dropout: share of the hidden units that is dropped in training.
    """

    from_content: ClassVar[tuple[str, ...]] = ("user",)

    def __init__(
        self, n_users: int, n_items: int, *, layers: Sequence[int] = (128,), dropout: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        self.hidden, self.dropout = tuple(layers), dropout
        self.drop = keras.layers.Dropout(dropout, seed=self.seed, dtype=self.dtype_policy)

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        return (*super().settings(), "layers", "dropout")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        super().build(input_shape)
        self.beside_user = self.side_encoder(self.user_side, self.width, "beside_user")
        self.tower = self.stack("query", (self.query_width(self.width), *self.hidden, self.width))

    def encode(self, items: Any, training: bool) -> Any:
        """The bag of what came so far: (B, L) -> (B, L, width)."""
        return mean_so_far(self.item_vectors(items), items)

    def head(self, vectors: Any, users: Any, context: Any, training: bool) -> Any:
        """The query tower."""
        inputs = self.query_inputs(vectors, users, context, training)
        return self.through(inputs, self.tower, lambda hidden: self.drop(tf.nn.relu(hidden), training=training))


def mean_so_far(vectors: Any, items: Any) -> Any:
    """The mean of a window's vectors (B, L, d) up to each place, of those that there is an item for: (B, L, d).

    Summed in float32: bfloat16 counts to 256.
    """
    counts = tf.cumsum(tf.cast(items >= 0, tf.float32), axis=1)
    sums = tf.cumsum(tf.cast(vectors, tf.float32), axis=1)
    return tf.cast(sums / tf.maximum(counts, 1.0)[..., tf.newaxis], vectors.dtype)
