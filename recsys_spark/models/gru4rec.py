"""GRU4Rec: a recurrent network over a user's items.

Source: Hidasi, Karatzoglou, Baltrunas and Tikk (2016), "Session-based Recommendations with Recurrent Neural Networks",
ICLR '16; losses and shared embeddings of Hidasi and Karatzoglou (2018), "Recurrent Neural Networks with Top-k Gains for
Session-based Recommendations", CIKM '18.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from recsys_spark.models.sequence import SequenceModel


@keras.saving.register_keras_serializable(package="recsys_spark")
class GRU4Rec(SequenceModel):
    """Gated recurrent units over the window; the item table is both input and output (constrained embeddings).

    The state does not move over padding. O(L units (width + units)) a window, one position after the other.

    Args:
        units: of each recurrent layer; where they differ from `width` a dense layer leads back.
        layers: recurrent layers.
        dropout: share of the inputs and of the layers' outputs that is dropped in training.
    """

    def __init__(
        self, n_users: int, n_items: int, *, units: int = 64, layers: int = 1, dropout: float = 0.2, **kwargs: Any
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        if min(units, layers) < 1:
            raise ValueError(f"units {units} and layers {layers} must be 1 or more")
        self.units, self.hidden, self.dropout = units, layers, dropout
        self.recurrent = [self._layer(number) for number in range(layers)]
        self.drop = keras.layers.Dropout(dropout, seed=self.seed, dtype=self.dtype_policy)

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        return (*super().settings(), "units", "layers", "dropout")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        super().build(input_shape)
        for number, layer in enumerate(self.recurrent):
            layer.build((None, None, self.width if number == 0 else self.units))
        self.back = self.glorot("back", (self.units, self.width)) if self.units != self.width else None

    def encode(self, items: Any, training: bool) -> Any:
        """(B, L) -> (B, L, width)."""
        x = self.drop(self.item_vectors(items), training=training)
        for layer in self.recurrent:
            x = self.drop(layer(x, mask=items >= 0, training=training), training=training)
        return x if self.back is None else self.dense(x, self.back)

    def _layer(self, number: int) -> Any:
        seed = 1000 * self.seed + 500 + 10 * number
        return keras.layers.GRU(
            self.units,
            return_sequences=True,
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
            dtype=self.dtype_policy,
        )
