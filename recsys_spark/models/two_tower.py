"""Two towers, of the user's query and of the item, that meet in a dot product.

Source: Yi, Yang, Hong, Cheng, Heldt, Kumthekar, Zhao, Wei and Chi (2019), "Sampling-Bias-Corrected Neural Modeling for
Large Corpus Item Recommendations", RecSys '19; mixed negatives of Yang, Yi, Cheng, Hong, Li, Wang, Xu and Chi (2020),
"Mixed Negative Sampling for Learning Two-tower Neural Networks in Recommendations", WWW '20.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from recsys_spark.models import losses
from recsys_spark.models.contract import Recommender
from recsys_spark.models.softmax_dnn import mean_so_far
from recsys_spark.models.windows import BARRED, is_among, some_places, windows_of

_STDDEV = 0.05


@keras.saving.register_keras_serializable(package="recsys_spark")
class TwoTower(Recommender):
    """score(u, i) = f(history, user's features) . g(item, its features) / temperature, f and g of length 1.

    An item starts from a vector of its own plus what its features say. In training its own vector is left out for a share
    of the items (`id_dropout`), and in scoring for items that nobody took in training: such are scored by their content.

    The negatives of a place are the other places' next items and `negatives` items drawn uniformly from
    those taken in training.
    With q_i the expected number of times that item i is among them, logits are corrected by -log q_i (logQ), so that
    popular items are not punished for being often in the batch. O(P (P + negatives) width) for P places a batch.

    Args:
        width: of the vectors of both towers.
        length: the latest items that the query reads, as a bag.
        layers: units of each tower's hidden layers.
        temperature: divides the cosine.
        negatives: drawn uniformly, beside those of the batch.
        positions: of a window, learnt from in one step.
        id_dropout: share of items whose own vector is left out of a step; of use where items have features.
        history_dropout: share of places whose history is left out of a step; of use where users have features.
    """

    examples: ClassVar[str] = "sequences"
    retrieves: ClassVar[bool] = True
    reads_history: ClassVar[bool] = True
    from_content: ClassVar[tuple[str, ...]] = ("user", "item")

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        width: int = 64,
        length: int = 50,
        layers: Sequence[int] = (128,),
        temperature: float = 0.1,
        negatives: int = 512,
        positions: int = 8,
        id_dropout: float = 0.0,
        history_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        if min(width, length, negatives, positions) < 1 or temperature <= 0.0:
            raise ValueError("width, length, negatives and positions must be 1 or more, temperature above 0")
        self.width, self.length, self.hidden, self.temperature = width, length, tuple(layers), temperature
        self.negatives, self.positions, self.id_dropout = negatives, positions, id_dropout
        self.history_dropout = history_dropout
        self.without_history = history_dropout > 0.0 and self.user_side is not None
        self._share: Any = None
        self._taken: Any = tf.range(n_items)

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        own = ("width", "length", "layers", "temperature", "negatives", "positions")
        return (*own, "id_dropout", "history_dropout")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        self.items = self.table("items", self.n_items, self.width, _STDDEV)
        ones = {"initializer": "ones", "trainable": False, "autocast": False}
        self.known = self.add_weight(shape=(self.n_items, 1), name="known", **ones)
        self.beside_user = self.side_encoder(self.user_side, self.width, "beside_user")
        self.beside_item = self.side_encoder(self.item_side, self.width, "beside_item")
        self.beside_context = self.context_encoder(self.width, "beside_context")
        self.query_tower = self.stack("query", (self.query_width(self.width), *self.hidden, self.width))
        self.item_tower = self.stack("item", (self.width, *self.hidden, self.width))

    def learn_counts(self, counts: npt.NDArray[Any]) -> None:
        """Which items were taken in training, and how often: their shares correct for what the batch is made of."""
        counts = np.asarray(counts, dtype=np.float64)
        self._share = tf.constant(counts / max(1.0, counts.sum()), tf.float32)
        if counts.any():
            self.known.assign((counts > 0)[:, np.newaxis])
            self._taken = tf.constant(np.flatnonzero(counts), tf.int32)

    def queries(self, users: Mapping[str, Any]) -> Any:
        """`{"user": (B,), "history": (B, L)}` -> (B, width), of length 1 / temperature."""
        history = users["history"][:, -self.length :]
        bag = mean_so_far(self._inputs(history), history)[:, -1]
        return self.full(self._query(bag, users["user"], users.get("context"), training=False) / self.temperature)

    def catalogue(self) -> Any:
        """(n_items, width), each of length 1."""
        return self.full(self._item(self._inputs(tf.range(self.n_items))))

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`{"user": (B,), "history": (B, L), "items": (B, C)}` -> logits (B, C)."""
        return tf.linalg.matvec(self.full(self._item(self._inputs(inputs["items"]))), self.queries(inputs))

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """Sampled softmax at `positions` places of each window, against the batch's and drawn items."""
        windows = windows_of(batch, self.length)
        chosen = some_places(windows, self.positions, seed)
        bags = mean_so_far(self._inputs(windows.inputs), windows.inputs)
        places = tf.stack([chosen.rows, chosen.places], axis=1)
        kept = self._kept(tf.shape(chosen.targets), self.history_dropout, seed + 3)
        bag = tf.gather_nd(bags, places) * kept[:, tf.newaxis]
        nexts = tf.stack([chosen.rows, chosen.nexts], axis=1)
        context = tf.gather_nd(batch["context"], nexts) if self.context_side else None
        users = tf.gather(batch["user"], chosen.rows)
        queries = self._query(bag, users, context, training=True)
        drawn = tf.random.stateless_uniform((self.negatives,), seed + 1, 0, tf.size(self._taken), tf.int32)
        candidates = tf.concat([chosen.targets, tf.gather(self._taken, drawn)], axis=0)
        vectors = self._item(self._inputs(candidates, self._kept(tf.shape(candidates), self.id_dropout, seed + 2)))
        corrected = self.full(tf.matmul(queries, vectors, transpose_b=True)) / self.temperature
        corrected -= tf.math.log(self._expected(candidates, tf.shape(chosen.targets)[0]))[tf.newaxis]
        own = is_among(candidates[tf.newaxis], windows.items)
        negatives = tf.where(tf.gather(own, chosen.rows), BARRED, corrected)
        return losses.sampled_softmax(tf.linalg.diag_part(corrected[:, : tf.shape(chosen.targets)[0]]), negatives)

    def _expected(self, items: Any, places: Any) -> Any:
        """How often an item is expected among a batch's candidates: by its share of the places, and uniformly."""
        share = 1.0 / self.n_items if self._share is None else tf.gather(self._share, items)
        return tf.cast(places, tf.float32) * share + self.negatives / len(self._taken)

    def _kept(self, shape: Any, dropout: float, seed: Any) -> Any:
        return tf.cast(tf.random.stateless_uniform(shape, seed) >= dropout, self.compute_dtype)

    def _inputs(self, items: Any, kept: Any = None) -> Any:
        """What goes into the towers of an item: (...,) -> (..., width)."""
        own = self.rows_or_zeros(self.items, items) * self.rows(self.known, tf.maximum(items, 0))
        own = own if kept is None else own * kept[..., tf.newaxis]
        return own if self.beside_item is None else own + self.beside_item(items)

    def _query(self, bag: Any, users: Any, context: Any, training: bool) -> Any:
        inputs = self.query_inputs(bag, users, context, training)
        return _of_length_one(self.through(inputs, self.query_tower))

    def _item(self, inputs: Any) -> Any:
        return _of_length_one(self.through(inputs, self.item_tower))


def _of_length_one(x: Any) -> Any:
    return x * tf.math.rsqrt(tf.reduce_sum(tf.square(x), axis=-1, keepdims=True) + 1e-12)
