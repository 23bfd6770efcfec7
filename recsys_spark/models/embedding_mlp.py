"""Embeddings of user and item put together, through dense layers with batch norm and dropout.

Source: the tabular collaborative filter of Howard and Gugger (2020), "Deep Learning for Coders with fastai and PyTorch",
chapter 8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import keras
import tensorflow as tf

from recsys_spark.models import losses
from recsys_spark.models.contract import Recommender, sizes

_OBJECTIVES: Final = ("explicit", "implicit", "clicks")


@keras.saving.register_keras_serializable(package="recsys_spark")
class EmbeddingMLP(Recommender):
    """h_0 = drop(p_u, q_i), h_k = drop(norm(relu(W_k h_(k-1) + c_k))), score = w . h_L + b.

    On ratings (`explicit`) the prediction is low + (high - low) sigmoid(score), held against the rating by squared error; on
    pairs (`implicit`) the score is a logit under binary cross-entropy, on impressions (`clicks`) under `clicks.ClickLoss`.
    Declared features are added to the embeddings. O(sum of the layers' products) a pair.

    Args:
        width: of each embedding.
        layers: units of each hidden layer.
        embedding_dropout: share of the embeddings that is dropped in training.
        dropout: share of each hidden layer's units, likewise.
        objective: `explicit`, `implicit` or `clicks`.
        low: the lowest rating that can be predicted.
        high: the highest.
        mean_value: of the ratings.
        l2: weight of the squared embeddings of a batch's pairs, as a mean over the pairs.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        width: int = 50,
        layers: Sequence[int] = (100, 50),
        embedding_dropout: float = 0.0,
        dropout: float = 0.0,
        objective: str = "explicit",
        low: float = 0.0,
        high: float = 5.5,
        l2: float = 0.0,
        mean_value: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        if objective not in _OBJECTIVES:
            raise ValueError(f"objective is {objective!r}, expected one of {', '.join(_OBJECTIVES)}")
        if low >= high:
            raise ValueError(f"ratings from {low} to {high}: expected the lowest below the highest")
        self.width, self.hidden, self.objective, self.low, self.high, self.l2 = (
            width,
            tuple(layers),
            objective,
            low,
            high,
            l2,
        )
        self.embedding_dropout, self.dropout, self.mean_value = embedding_dropout, dropout, mean_value
        self.predicts_ratings, self.gives_logits = objective == "explicit", objective == "implicit"
        self.norms = [keras.layers.BatchNormalization(dtype=self.dtype_policy) for _ in self.hidden]
        self.drop_embeddings = keras.layers.Dropout(embedding_dropout, seed=self.seed, dtype=self.dtype_policy)
        self.drop = keras.layers.Dropout(dropout, seed=self.seed + 1, dtype=self.dtype_policy)

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        return ("width", "layers", "embedding_dropout", "dropout", "objective", "low", "high", "l2", "mean_value")

    def running_statistics(self) -> Sequence[Any]:
        """The moving means and variances of batch norm."""
        return [variable for norm in self.norms for variable in (norm.moving_mean, norm.moving_variance)]

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        self.users = self.table("users", self.n_users, self.width, 0.01)
        self.items = self.table("items", self.n_items, self.width, 0.01)
        self.beside_user = self.side_encoder(self.user_side, self.width, "beside_user")
        self.beside_item = self.side_encoder(self.item_side, self.width, "beside_item")
        widths = (2 * self.width, *self.hidden)
        self.tower = self.stack("tower", widths)
        self.output_kernel, self.output_bias = self.glorot("output", (widths[-1], 1)), self._output_bias()
        for norm, units in zip(self.norms, self.hidden, strict=True):
            norm.build((None, units))

    def _output_bias(self) -> Any:
        """Starts where the prediction is the mean of the ratings."""
        share = min(max((self.mean_value - self.low) / (self.high - self.low), 0.01), 0.99)
        start = math.log(share / (1.0 - share)) if self.predicts_ratings else 0.0
        return self.add_weight(shape=(1,), initializer=keras.initializers.Constant(start), name="output_bias")

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`{"user": (B,), "items": (B, C)}` -> ratings or logits (B, C)."""
        users, items = inputs["user"], inputs["items"]
        user_vectors, item_vectors = self.rows_or_zeros(self.users, users), self.rows(self.items, items)
        if self.beside_user is not None:
            user_vectors += self.beside_user(users)
        if self.beside_item is not None:
            item_vectors += self.beside_item(items)
        if self.l2 and training:
            squares = [tf.reduce_sum(tf.square(self.full(each)), axis=-1) for each in (user_vectors, item_vectors)]
            self.add_loss(self.l2 * sum(tf.reduce_mean(each) for each in squares))
        batch, candidates = sizes(item_vectors)[:2]
        repeated = tf.repeat(user_vectors, candidates, axis=0)
        hidden = tf.concat([repeated, tf.reshape(item_vectors, [-1, self.width])], axis=-1)
        hidden = self.drop_embeddings(hidden, training=training)
        for (kernel, bias), norm in zip(self.tower, self.norms, strict=True):
            hidden = tf.nn.relu(self.dense(hidden, kernel, bias))
            hidden = self.drop(norm(hidden, training=training), training=training)
        scores = self.full(tf.reshape(self.dense(hidden, self.output_kernel, self.output_bias), [batch, candidates]))
        return self.low + (self.high - self.low) * tf.sigmoid(scores) if self.predicts_ratings else scores

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """See `Recommender.training_loss`."""
        scores = self(batch, training=True)
        if self.predicts_ratings:
            return losses.squared_error(scores[:, 0], batch["value"])
        if self.objective == "clicks":
            return self.clicks(scores[:, 0], batch, seed)
        return losses.binary_cross_entropy(scores)
