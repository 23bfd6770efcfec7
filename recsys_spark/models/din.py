"""DIN: the history is read anew for each candidate.

Source: Zhou, Zhu, Song, Fan, Zhu, Ma, Yan, Jin, Li and Gai (2018), "Deep Interest Network for Click-Through Rate
Prediction", KDD '18.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from recsys_spark.models import losses
from recsys_spark.models.contract import Recommender
from recsys_spark.models.windows import BARRED, is_among, some_places, up_to, windows_of

_STDDEV = 0.05


@keras.saving.register_keras_serializable(package="recsys_spark")
class DIN(Recommender):
    """score(u, i) = MLP(v, q_i, v * q_i), where v = sum over the history h of a(h, i) e_h, and a is a small network.

        a(h, i) = w . prelu(A e_h + B q_i + C (e_h * q_i) + c)

    The weights a are not normalised (section 4.3 of the paper), so that v says how much of the history speaks for the
    candidate; they are divided by the length that is read, to keep the scale. The activation is PReLU (the paper's Dice
    needs a batch's statistics, which differ between ranks). The negatives are drawn in the step, uniformly from the
    catalogue less the window; `positions` next items of each window are learnt from in a step, drawn at random.
    O(positions x (1 + negatives) x length x width x units) a window.

    Args:
        width: of the item vectors.
        length: the latest items that are read.
        attention_units: of the network that weighs.
        layers: units of each hidden layer.
        negatives: beside each positive.
        positions: of a window, learnt from in one step.
    """

    examples: ClassVar[str] = "sequences"
    reads_history: ClassVar[bool] = True

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        width: int = 32,
        length: int = 50,
        attention_units: int = 16,
        layers: Sequence[int] = (64, 32),
        dropout: float = 0.0,
        negatives: int = 4,
        positions: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        if min(width, length, attention_units, negatives, positions, *layers) < 1:
            raise ValueError(
                "width, length, attention_units, negatives, positions and each of layers must be 1 or more"
            )
        self.width, self.length, self.attention_units, self.hidden = width, length, attention_units, tuple(layers)
        self.dropout, self.negatives, self.positions = dropout, negatives, positions
        self.gives_logits = True
        self.pair_floats = 4 * length * attention_units  # the weighing's hidden layer, and what it is made of
        self.drop = keras.layers.Dropout(dropout, seed=self.seed, dtype=self.dtype_policy)

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        return ("width", "length", "attention_units", "layers", "dropout", "negatives", "positions")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        d, units = self.width, self.attention_units
        self.items = self.table("items", self.n_items, d, _STDDEV)
        self.item_bias = self.table("item_bias", self.n_items, 1, 0.0)
        self.beside_item = self.side_encoder(self.item_side, d, "beside_item")
        self.of_history, self.of_candidate, self.of_both = (
            self.glorot(f"attention_{name}", (d, units)) for name in ("history", "candidate", "both")
        )
        self.attention_bias, self.attention_out = (
            self.zeros("attention_bias", (units,)),
            self.glorot("attention", (units, 1)),
        )
        slope = keras.initializers.Constant(0.25)
        self.attention_slope = self.add_weight(shape=(units,), initializer=slope, name="attention_slope")
        widths = (3 * d, *self.hidden)
        self.tower = self.stack("tower", widths)
        self.slopes = [
            self.add_weight(shape=(m,), initializer=slope, name=f"slope_{k}") for k, m in enumerate(self.hidden)
        ]
        self.output_kernel = self.glorot("output", (widths[-1], 1))

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`{"history": (B, L), "items": (B, C)}` -> logits (B, C)."""
        return self.score(inputs["history"][:, -self.length :], inputs["items"], training)

    def score(self, history: Any, items: Any, training: bool = False) -> Any:
        """Histories (B, L), -1 where there is no item, and candidates (B, C) -> logits (B, C)."""
        past, candidates = self._vectors(history), self._vectors(items)
        there = tf.cast(history >= 0, self.compute_dtype)
        both = tf.einsum("bld,bcd,du->bclu", past, candidates, self.read(self.of_both))
        own = (
            self.dense(past, self.of_history)[:, tf.newaxis]
            + self.dense(candidates, self.of_candidate)[:, :, tf.newaxis]
        )
        hidden = _prelu(both + own + self.read(self.attention_bias), self.read(self.attention_slope))
        weights = tf.squeeze(self.dense(hidden, self.attention_out), axis=-1) * there[:, tf.newaxis]
        interest = tf.matmul(weights, past) / self.length
        x = tf.concat([interest, candidates, interest * candidates], axis=-1)
        for (kernel, bias), slope in zip(self.tower, self.slopes, strict=True):
            x = self.drop(_prelu(self.dense(x, kernel, bias), self.read(slope)), training=training)
        logits = self.dense(x, self.output_kernel) + self.rows(self.item_bias, items)
        return self.full(tf.squeeze(logits, axis=-1))

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """Binary cross-entropy at `positions` places of each window (B, L + 1), of those whose next item is known."""
        window = batch["window"]
        chosen = some_places(windows_of(batch, window.shape[1] - 1), self.positions, seed)
        windows = tf.gather(window, chosen.rows)
        shape = tf.stack([tf.shape(chosen.rows)[0], self.negatives])
        drawn = tf.random.stateless_uniform(shape, seed + 1, 0, self.n_items, tf.int32)
        candidates = tf.concat([chosen.targets[:, tf.newaxis], drawn], axis=1)
        logits = self.score(up_to(windows, chosen.places, self.length), candidates, training=True)
        negatives = tf.where(is_among(drawn, windows), BARRED, logits[:, 1:])  # what the user had is no negative
        return losses.binary_cross_entropy(tf.concat([logits[:, :1], negatives], axis=1))

    def _vectors(self, items: Any) -> Any:
        own = self.rows_or_zeros(self.items, items)
        return own if self.beside_item is None else own + self.beside_item(items)


def _prelu(x: Any, slope: Any) -> Any:
    return tf.maximum(x, 0.0) + slope * tf.minimum(x, 0.0)
