"""Several tasks on shared layers: whether a user takes an item, what it is then worth, and whether that leads to more.

Source: Ma, Zhao, Yi, Chen, Hong and Chi (2018), "Modeling Task Relationships in Multi-task Learning with Multi-gate
Mixture-of-Experts", KDD '18; weights by uncertainty of Kendall, Gal and Cipolla (2018), "Multi-task Learning Using
Uncertainty to Weigh Losses for Scene Geometry and Semantics", CVPR '18; positives weighted by their value of Covington,
Adams and Sargin (2016), "Deep Neural Networks for YouTube Recommendations", section 4.2; conversion over all pairs of Ma, Zhao,
Huang, Wang, Hu, Zhu and Gai (2018), "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion
Rate", SIGIR '18.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import keras
import tensorflow as tf

from recsys_spark.models.contract import Recommender, sizes

_SHARING: Final = ("mmoe", "shared_bottom")
_TASKS: Final = ("interaction", "value", "conversion")


@keras.saving.register_keras_serializable(package="recsys_spark")
class MultiTask(Recommender):
    """x = (p_u, q_i, p_u * q_i) -> experts -> for each task its own mixture of them and its own tower.

    Tasks: `interaction`, a logit under binary cross-entropy over the positive and its negatives; `value`, the rating or
    spend of the positive, standardised, under squared error, left out where it is not known; with `conversions` also
    `conversion`, whether a view, say, leads to a purchase. Its logit w is of P(conversion | interaction), which nobody sees but
    for pairs that interacted; so it is trained by way of P(both) = sigmoid(z) sigmoid(w), z the logit of the interaction, under
    binary cross-entropy over all pairs. With `mmoe` each task weighs the experts by a softmax over x; with `shared_bottom` there
    is one expert. The ranking score is z, or the logit of P(both), plus `value_share` times the standardised value. O(experts x
    units) a pair.

    Args:
        width: of the embeddings.
        experts: of the mixture.
        units: of each expert.
        tower: units of each task's hidden layer.
        sharing: `mmoe` or `shared_bottom`.
        task_weights: of the three losses; ignored with `uncertainty`.
        uncertainty: learn the weights: loss / (2 s^2) + log s for each task, s its noise.
        value_power: a positive counts (1 + value / mean value) ** value_power in its loss; 0: all alike.
        value_share: of the value in the ranking score.
        rank_by: `interaction` or `conversion`.
        conversions: whether the examples say which positives converted.
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
        task_weights: Sequence[float] = (1.0, 0.1, 1.0),
        uncertainty: bool = False,
        value_power: float = 0.0,
        value_share: float = 0.0,
        rank_by: str = "interaction",
        conversions: bool = False,
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
        if rank_by not in ("interaction", "conversion") or (rank_by == "conversion" and not conversions):
            raise ValueError(
                f"rank_by is {rank_by!r}, expected interaction, or conversion where examples.conversion_types name some"
            )
        self.width, self.experts, self.units, self.tower = width, experts, units, tower
        self.sharing, self.task_weights, self.uncertainty = sharing, tuple(task_weights), uncertainty
        self.value_power, self.value_share = value_power, value_share
        self.rank_by, self.conversions = rank_by, conversions
        self.gives_logits = value_share == 0.0 and rank_by == "interaction"
        self.names = _TASKS if conversions else _TASKS[:2]
        self.mean_value, self.std_value = mean_value, max(std_value, 1e-6)

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        shape = ("width", "experts", "units", "tower", "sharing")
        of_tasks = ("task_weights", "uncertainty", "value_power", "value_share", "rank_by", "conversions")
        return (*shape, *of_tasks, "mean_value", "std_value")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        d, experts = 3 * self.width, self.experts if self.sharing == "mmoe" else 1
        self.users = self.table("users", self.n_users, self.width, 0.05)
        self.items = self.table("items", self.n_items, self.width, 0.05)
        self.beside_user = self.side_encoder(self.user_side, self.width, "beside_user")
        self.beside_item = self.side_encoder(self.item_side, self.width, "beside_item")
        self.expert_kernel = self.glorot("experts", (d, experts * self.units))
        self.expert_bias = self.zeros("expert_bias", (experts * self.units,))
        self.gates = [self.glorot(f"gate_{task}", (d, experts)) for task in self.names] if experts > 1 else []
        self.towers = [self.stack(task, (self.units, self.tower, 1)) for task in self.names]
        if self.uncertainty:
            self.log_noise = self.zeros("log_noise", (len(self.names),))

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`{"user": (B,), "items": (B, C)}` -> the ranking score (B, C)."""
        logits, values, *further = self.tasks(inputs["user"], inputs["items"])
        if self.rank_by == "conversion":
            log_both, log_not = log_probabilities_of_both(logits, further[0])
            logits = log_both - log_not
        return logits + self.value_share * values

    def tasks(self, users: Any, items: Any) -> list[Any]:
        """Each task's output for users (B,) and items (B, C), (B, C) each: logits, standardised values, and with
        `conversions` the logits of a conversion after the interaction."""
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
        return outputs

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """The tasks' losses, weighted and summed."""
        logits, values, *further = self.tasks(batch["user"], batch["items"])
        known = ~tf.math.is_nan(batch["value"])
        value = tf.where(known, batch["value"], self.mean_value)
        losses = [self._interaction(logits, value), self._value(values[:, 0], value, known)]
        losses += [_conversion(logits, each, batch["converted"]) for each in further]
        if self.uncertainty:
            noise = tf.convert_to_tensor(self.log_noise.value)
            return tf.add_n([tf.exp(-2.0 * noise[k]) * each / 2.0 + noise[k] for k, each in enumerate(losses)])
        return tf.add_n([weight * each for weight, each in zip(self.task_weights, losses, strict=False)])

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


def log_probabilities_of_both(first: Any, second: Any) -> tuple[Any, Any]:
    """log P and log(1 - P) of P = sigmoid(first) sigmoid(second), element by element, finite for any logits.

    1 - P = (exp(-a) + exp(-b) + exp(-a-b)) sigmoid(a) sigmoid(b) for the logits a and b.
    """
    log_both = -tf.nn.softplus(-first) - tf.nn.softplus(-second)
    return log_both, tf.reduce_logsumexp(tf.stack([-first, -second, -first - second]), axis=0) + log_both


def _conversion(interaction: Any, conversion: Any, converted: Any) -> Any:
    """Binary cross-entropy of interaction and conversion together, as a mean over the batch's pairs: no negative converts."""
    log_both, log_not = log_probabilities_of_both(interaction, conversion)
    of_positives = converted * log_both[:, 0] + (1.0 - converted) * log_not[:, 0]
    total = tf.reduce_sum(of_positives) + tf.reduce_sum(log_not[:, 1:])
    return -total / tf.cast(tf.size(log_not), log_not.dtype)
