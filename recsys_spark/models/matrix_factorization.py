"""Matrix factorisation: a dot product with biases, which few models beat once it is tuned.

Source: Koren, Bell and Volinsky (2009), "Matrix Factorization Techniques for Recommender Systems"; Rendle, Krichene, Zhang
and Anderson (2020), "Neural Collaborative Filtering vs. Matrix Factorization Revisited".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import keras
import tensorflow as tf

from recsys_spark.models import losses
from recsys_spark.models.contract import Recommender

_LOSSES: Final = ("bce", "bpr", "mse", "clicks")


@keras.saving.register_keras_serializable(package="recsys_spark")
class MatrixFactorization(Recommender):
    """score(u, i) = p_u . q_i + b_u + b_i + c.

    Trained on pairs, by binary cross-entropy with weighted negatives (`bce`) or by Bayesian personalised ranking (`bpr`),
    on ratings by squared error (`mse`), c starting at their mean, or on impressions by `ClickLoss` (`clicks`). O(width) a
    pair.

    Args:
        width: of the factors.
        loss_name: `bce`, `bpr`, `mse` or `clicks`.
        negative_weight: of each negative under `bce`.
        l2: weight of the squared factors and biases of a batch's pairs, as a mean over the pairs.
        stddev: of the first factors.
        mean_value: where c starts.
    """

    retrieves: ClassVar[bool] = True

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        width: int = 64,
        loss_name: str = "bce",
        negative_weight: float = 1.0,
        l2: float = 0.0,
        stddev: float = 0.1,
        mean_value: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        if loss_name not in _LOSSES:
            raise ValueError(f"loss is {loss_name!r}, expected one of {', '.join(_LOSSES)}")
        if width < 1:
            raise ValueError(f"width is {width}, expected 1 or more")
        self.width, self.loss_name, self.negative_weight = width, loss_name, negative_weight
        self.l2, self.stddev, self.mean_value = l2, stddev, mean_value
        self.predicts_ratings, self.gives_logits = loss_name == "mse", loss_name == "bce"

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        return ("width", "loss_name", "negative_weight", "l2", "stddev", "mean_value")

    def build(self, input_shape: Any = None) -> None:
        """Make the tables, whose sizes hang on the constructor's arguments alone."""
        self.users = self.table("users", self.n_users, self.width, self.stddev)
        self.items = self.table("items", self.n_items, self.width, self.stddev)
        self.user_bias = self.table("user_bias", self.n_users, 1, 0.0)
        self.item_bias = self.table("item_bias", self.n_items, 1, 0.0)
        constant = keras.initializers.Constant(self.mean_value)
        self.constant = self.add_weight(shape=(), initializer=constant, name="constant")

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`{"user": (B,), "items": (B, C)}` -> scores (B, C)."""
        users, items = self.rows_or_zeros(self.users, inputs["user"]), self.rows(self.items, inputs["items"])
        user_bias, item_bias = (
            self.rows_or_zeros(self.user_bias, inputs["user"]),
            self.rows(self.item_bias, inputs["items"]),
        )
        if self.l2 and training:
            squares = [tf.reduce_sum(tf.square(self.full(each)), -1) for each in (users, items, user_bias, item_bias)]
            self.add_loss(self.l2 * sum(tf.reduce_mean(each) for each in squares))
        dots = tf.linalg.matvec(items, users)
        return self.full(dots + user_bias + item_bias[..., 0] + self.read(self.constant))

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """See `Recommender.training_loss`."""
        scores = self(batch, training=True)
        if self.loss_name == "mse":
            return losses.squared_error(scores[:, 0], batch["value"])
        if self.loss_name == "clicks":
            return self.clicks(scores[:, 0], batch, seed)
        if self.loss_name == "bpr":
            return losses.bpr(scores)
        return losses.weighted_cross_entropy(scores, self.negative_weight)

    def queries(self, users: Mapping[str, Any]) -> Any:
        """(p_u, 1, b_u + c): (B,) -> (B, width + 2)."""
        vectors = self.full(self.rows_or_zeros(self.users, users["user"]))
        constants = self.full(self.rows_or_zeros(self.user_bias, users["user"]) + self.read(self.constant))
        return tf.concat([vectors, tf.ones_like(constants), constants], axis=1)

    def catalogue(self) -> Any:
        """(q_i, b_i, 1): (n_items, width + 2)."""
        biases = tf.convert_to_tensor(self.item_bias.value)
        return tf.concat([tf.convert_to_tensor(self.items.value), biases, tf.ones_like(biases)], axis=1)
