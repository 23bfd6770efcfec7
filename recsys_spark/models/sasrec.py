"""SASRec: a causal transformer over a user's items.

Source: Kang and McAuley (2018), "Self-Attentive Sequential Recommendation", ICDM '18; trained on many negatives as in
Petrov and Macdonald (2023, gSASRec) and Klenitskiy and Vasilev (2023), "Turning Dross Into Gold Loss".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from recsys_spark.models.contract import sizes
from recsys_spark.models.sequence import SequenceModel

_NEVER = -1e9  # an attention logit that softmax makes zero, also in bfloat16


@keras.saving.register_keras_serializable(package="recsys_spark")
class SASRec(SequenceModel):
    """Self-attention over the window, each position looking at itself and what came before it.

        x_0 = sqrt(d) e + p,   x = x + drop(attention(norm(x))),   x = x + drop(W_2 relu(W_1 norm(x))),   h = norm(x_last)

    with e the item vectors and p a learned vector a place, counted from the newest item. O(L^2 width + L width^2) a window.

    Args:
        blocks: attention and feed-forward, one after the other, so many times.
        heads: of each attention; they share out `width`.
        expansion: units of the feed-forward's hidden layer, as a multiple of `width`.
        dropout: share of embeddings, attention weights and branch outputs that is dropped in training.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        blocks: int = 2,
        heads: int = 1,
        expansion: int = 1,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        if self.width % heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {heads}")
        self.blocks, self.heads, self.expansion, self.dropout = blocks, heads, expansion, dropout
        norms = range(2 * blocks + 1)
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-6, dtype=self.dtype_policy) for _ in norms]
        self.drop = keras.layers.Dropout(dropout, seed=self.seed, dtype=self.dtype_policy)

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        return (*super().settings(), "blocks", "heads", "expansion", "dropout")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        super().build(input_shape)
        d, hidden = self.width, self.expansion * self.width
        self.places = self.table("places", self.length, d, 0.02)
        for norm in self.norms:
            norm.build((None, None, d))
        self.kernels = [
            {
                "mix": self.glorot(f"mix_{block}", (d, 3 * d)),
                "out": self.glorot(f"out_{block}", (d, d)),
                "up": self.glorot(f"up_{block}", (d, hidden)),
                "up_bias": self.zeros(f"up_bias_{block}", (hidden,)),
                "down": self.glorot(f"down_{block}", (hidden, d)),
                "down_bias": self.zeros(f"down_bias_{block}", (d,)),
            }
            for block in range(self.blocks)
        ]

    def encode(self, items: Any, training: bool) -> Any:
        """(B, L) -> (B, L, width)."""
        length = sizes(items)[1]
        x = self.item_vectors(items) * math.sqrt(self.width) + self.read(self.places)[self.length - length :]
        x = self.drop(x, training=training)
        hidden = self._hidden_from(items)
        for block, kernels in enumerate(self.kernels):
            attended = self._attention(self.norms[2 * block](x), kernels, hidden, training)
            x += self.drop(attended, training=training)
            inner = tf.nn.relu(self.dense(self.norms[2 * block + 1](x), kernels["up"], kernels["up_bias"]))
            x += self.drop(self.dense(inner, kernels["down"], kernels["down_bias"]), training=training)
        return self.norms[-1](x)

    def _attention(self, x: Any, kernels: Any, hidden: Any, training: bool) -> Any:
        """Scaled dot products (Vaswani et al. 2017), `heads` beside each other: (B, L, d) -> (B, L, d)."""
        batch, length = sizes(x)[:2]
        mixed = tf.reshape(self.dense(x, kernels["mix"]), [batch, length, 3, self.heads, self.width // self.heads])
        queries, keys, values = tf.unstack(tf.transpose(mixed, [2, 0, 3, 1, 4]))
        logits = tf.matmul(queries / math.sqrt(self.width // self.heads), keys, transpose_b=True) + hidden
        weights = self.drop(tf.nn.softmax(logits), training=training)
        joined = tf.transpose(tf.matmul(weights, values), [0, 2, 1, 3])
        return self.dense(tf.reshape(joined, [batch, length, self.width]), kernels["out"])

    def _hidden_from(self, items: Any) -> Any:
        """(B, L) -> (B, 1, L, L): what to add to the logits so that no position sees a later one, or padding."""
        length = tf.shape(items)[1]
        later = tf.range(length)[tf.newaxis, :] > tf.range(length)[:, tf.newaxis]
        unseen = later[tf.newaxis] | (items < 0)[:, tf.newaxis, :]
        return tf.cast(tf.where(unseen, _NEVER, 0.0), self.compute_dtype)[:, tf.newaxis]
