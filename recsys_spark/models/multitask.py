"""Several tasks on shared layers: whether a user takes an item, and what it is then worth.

Source: Ma, Zhao, Yi, Chen, Hong and Chi (2018), "Modeling Task Relationships in Multi-task Learning with Multi-gate
Mixture-of-Experts", KDD '18; weights by uncertainty of Kendall, Gal and Cipolla (2018), "Multi-task Learning Using
Uncertainty to Weigh Losses for Scene Geometry and Semantics", CVPR '18; positives weighted by their value of Covington,
Adams and Sargin (2016), "Deep Neural Networks for YouTube Recommendations", section 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import keras
import tensorflow as tf

from recsys_spark.models.contract import Recommender, sizes

_SHARING: Final = ("mmoe", "shared_bottom")
_TASKS: Final = ("interaction", "value")


@keras.saving.register_keras_serializable(package="recsys_spark")
class MultiTask(Recommender):
    """x = (p_u, q_i, p_u * q_i) -> experts -> for each task its own mixture of them and its own tower.

    Tasks: `interaction`, a logit under binary cross-entropy over the positive and its negatives; `value`, the rating or
    spend of the positive, standardised, under squared error, left out where it is not known. With `mmoe` each task weighs
    the experts by a softmax over x; with `shared_bottom` there is one expert. The ranking score is the logit plus
    `value_share` times the standardised value. O(experts x units) a pair.

    Args:
        width: of the embeddings.
        experts: of the mixture.
        units: of each expert.
        tower: units of each task's hidden layer.
        sharing: `mmoe` or `shared_bottom`.
        task_weights: of the two losses; ignored with `uncertainty`.
        uncertainty: learn the weights: loss / (2 s^2) + log s for each task, s its noise.
        value_power: a positive counts (1 + value / mean value) ** value_power in its loss; 0: all alike.
        value_share: of the value in the ranking score.
        mean_value: of the positives' values in training.
        std_value: their standard deviation.
    """

    examples: ClassVar[str] = "rated_pairs"

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        width: int = 32,
        experts: int = 4,
        units: int = 64,
        tower: int = 32,
        sharing: str = "mmoe",
        task_weights: Sequence[float] = (1.0, 0.1),
        uncertainty: bool = False,
        value_power: float = 0.0,
        value_share: float = 0.0,
        mean_value: float = 0.0,
        std_value: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        if sharing not in _SHARING:
            raise ValueError(f"sharing is {sharing!r}, expected one of {', '.join(_SHARING)}")
        if min(width, experts, units, tower) < 1 or len(task_weights) != len(_TASKS):
            raise ValueError(
                f"width, experts, units and tower must be 1 or more, task_weights one for each of {_TASKS}"
            )
        self.width, self.experts, self.units, self.tower = width, experts, units, tower
        self.sharing, self.task_weights, self.uncertainty = sharing, tuple(task_weights), uncertainty
        self.value_power, self.value_share = value_power, value_share
        self.gives_logits = value_share == 0.0
        self.mean_value, self.std_value = mean_value, max(std_value, 1e-6)

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        shape = ("width", "experts", "units", "tower", "sharing")
        return (*shape, "task_weights", "uncertainty", "value_power", "value_share", "mean_value", "std_value")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        d, experts = 3 * self.width, self.experts if self.sharing == "mmoe" else 1
        self.users = self.table("users", self.n_users, self.width, 0.05)
        self.items = self.table("items", self.n_items, self.width, 0.05)
        self.beside_user = self.side_encoder(self.user_side, self.width, "beside_user")
        self.beside_item = self.side_encoder(self.item_side, self.width, "beside_item")
        self.expert_kernel = self.glorot("experts", (d, experts * self.units))
        self.expert_bias = self.zeros("expert_bias", (experts * self.units,))
        self.gates = [self.glorot(f"gate_{task}", (d, experts)) for task in _TASKS] if experts > 1 else []
        self.towers = [self.stack(task, (self.units, self.tower, 1)) for task in _TASKS]
        if self.uncertainty:
            self.log_noise = self.zeros("log_noise", (len(_TASKS),))

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`{"user": (B,), "items": (B, C)}` -> the ranking score (B, C)."""
        logits, values = self.tasks(inputs["user"], inputs["items"])
        return logits + self.value_share * values

    def tasks(self, users: Any, items: Any) -> tuple[Any, Any]:
        """Each task's output for users (B,) and items (B, C): logits and standardised values, (B, C) each."""
        p, q = self.rows_or_zeros(self.users, users), self.rows(self.items, items)
        p = p if self.beside_user is None else p + self.beside_user(users)
        q = q if self.beside_item is None else q + self.beside_item(items)
        batch, candidates = sizes(q)[:2]
        p = tf.repeat(p[:, tf.newaxis], candidates, axis=1)
        x = tf.reshape(tf.concat([p, q, p * q], axis=-1), [-1, 3 * self.width])
        experts = tf.nn.relu(self.dense(x, self.expert_kernel, self.expert_bias))
        experts = tf.reshape(experts, [-1, experts.shape[1] // self.units, self.units])
        outputs = []
        for task, tower in enumerate(self.towers):
            mixed = tf.linalg.matvec(experts, self._gate(x, task), transpose_a=True) if self.gates else experts[:, 0]
            outputs.append(self.full(tf.reshape(self.through(mixed, tower), [batch, candidates])))
        return outputs[0], outputs[1]

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """The tasks' losses, weighted and summed."""
        logits, values = self.tasks(batch["user"], batch["items"])
        known = ~tf.math.is_nan(batch["value"])
        value = tf.where(known, batch["value"], self.mean_value)
        losses = [self._interaction(logits, value), self._value(values[:, 0], value, known)]
        if self.uncertainty:
            noise = tf.convert_to_tensor(self.log_noise.value)
            return tf.add_n([tf.exp(-2.0 * noise[k]) * each / 2.0 + noise[k] for k, each in enumerate(losses)])
        return tf.add_n([weight * each for weight, each in zip(self.task_weights, losses, strict=True)])

    def _interaction(self, logits: Any, value: Any) -> Any:
        """Binary cross-entropy, positives weighted by their value, as a mean over the batch's pairs."""
        worth = tf.maximum(value, 0.0) / self.mean_value if self.mean_value > 0.0 else tf.zeros_like(value)
        weights = (1.0 + worth) ** self.value_power
        total = tf.reduce_sum(weights * tf.nn.softplus(-logits[:, 0])) + tf.reduce_sum(tf.nn.softplus(logits[:, 1:]))
        return total / (tf.reduce_sum(weights) + tf.cast(tf.size(logits[:, 1:]), logits.dtype))

    def _value(self, predicted: Any, value: Any, known: Any) -> Any:
        """Squared error of the standardised value, over the positives whose value is known."""
        there = tf.cast(known, predicted.dtype)
        errors = tf.square(predicted - (value - self.mean_value) / self.std_value) * there
        return tf.reduce_sum(errors) / tf.maximum(tf.reduce_sum(there), 1.0)

    def _gate(self, x: Any, task: int) -> Any:
        return tf.nn.softmax(self.dense(x, self.gates[task]))
