"""What the sequence models share: windows in, a vector of what comes next at every position, and the losses over it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from recsys_spark.models import losses, repeats
from recsys_spark.models.contract import Recommender
from recsys_spark.models.forward import REPEAT_PACE
from recsys_spark.models.windows import BARRED, Windows, is_among, windows_of

_LOSSES: Final = ("bce", "gbce", "sampled_softmax", "softmax", "bpr_max", "top1_max")
_SAMPLING: Final = ("uniform", "popularity")
_STDDEV: Final = 0.02


class SequenceModel(Recommender):
    """A model that reads a user's latest items in order and says what comes next, by dot product with the item table.

    `encode` maps items (B, L) to vectors (B, L, width), of which each knows its own and earlier positions alone; `head` makes
    queries of them, which the context of the next event moves. Item vectors are rows of one table, plus what the items'
    declared features say. Training takes every position of a window whose next item is known; scoring takes the
    last position. With h a position's vector, e_i the item vectors and i the next item, the logits are z_0 = h . e_i and
    z_k = h . e_k for negatives k.

    The loss is one of `losses`: `bce`, `gbce`, `sampled_softmax`, `bpr_max` and `top1_max` over drawn negatives, or
    `softmax` over the whole catalogue (for small ones: its cost is positions x items). Negatives are drawn in the step:
    uniformly, or by popularity ** alpha, whose logits are corrected by -log of the expected count (logQ; Yi et al. 2019,
    "Sampling-bias-corrected neural modeling for large corpus item recommendations"). `shared` draws one set for the
    whole batch, so that their logits are one matrix product. The next item is never its own negative, nor, with
    `bar_window`, is any item of the same window.

    Args:
        width: of the item vectors.
        length: items of a window that are read; of a longer history its latest.
        negatives: M, drawn a batch if `shared`, else a position.
        gbce_t: calibration of `gbce`, see `losses.calibration_beta`.
        regularisation: of `bpr_max`.
        repeats: the next item may be copied from the window (see `repeats`), whose items then are negatives at each place beside
            those drawn. For data in which people take the same again; with `sampled_softmax`.
    """

    examples: ClassVar[str] = "sequences"
    retrieves: ClassVar[bool] = True
    reads_history: ClassVar[bool] = True

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        width: int,
        length: int,
        loss_name: str,
        negatives: int,
        shared: bool = True,
        sampling: str = "uniform",
        alpha: float = 0.75,
        bar_window: bool = True,
        gbce_t: float = 0.75,
        regularisation: float = 1.0,
        repeats: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_users, n_items, **kwargs)
        if loss_name not in _LOSSES:
            raise ValueError(f"loss is {loss_name!r}, expected one of {', '.join(_LOSSES)}")
        if sampling not in _SAMPLING:
            raise ValueError(f"sampling is {sampling!r}, expected one of {', '.join(_SAMPLING)}")
        if min(width, length, negatives) < 1:
            raise ValueError(f"width {width}, length {length} and negatives {negatives} must be 1 or more")
        self.width, self.length = width, length
        self.loss_name, self.negatives, self.shared = loss_name, negatives, shared
        if repeats and (loss_name != "sampled_softmax" or not shared):
            raise ValueError(f"repeats needs the loss sampled_softmax with shared negatives, not {loss_name}")
        self.repeats = repeats
        self.sampling, self.alpha, self.bar_window = sampling, alpha, bar_window
        self.gbce_t, self.regularisation = gbce_t, regularisation
        self._cumulative: Any = None
        self._log_share: Any = None

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        drawn = ("negatives", "shared", "sampling", "alpha", "bar_window")
        return ("width", "length", "loss_name", *drawn, "gbce_t", "regularisation", "repeats")

    def build(self, input_shape: Any = None) -> None:
        """Make the item table; a subclass makes what encodes."""
        self.items = self.table("items", self.n_items, self.width, _STDDEV)
        self.beside_item = self.side_encoder(self.item_side, self.width, "beside_item")
        self.beside_context = self.context_encoder(self.width, "beside_context")
        if self.repeats:
            # while all dot products are about 0, a full window weighs as much as the catalogue
            start = keras.initializers.Constant(math.log(self.n_items / self.length) / REPEAT_PACE)
            self.repeat_ages = self.add_weight(
                shape=(self.length,), initializer=start, autocast=False, name="repeat_ages"
            )

    def item_vectors(self, items: Any) -> Any:
        """Vectors of items, zeros for -1: (...,) -> (..., width)."""
        own = self.rows_or_zeros(self.items, items)
        return own if self.beside_item is None else own + self.beside_item(items)

    def encode(self, items: Any, training: bool) -> Any:
        """(B, L) items, -1 where there is none -> (B, L, width)."""
        raise NotImplementedError

    def head(self, vectors: Any, users: Any, context: Any, training: bool) -> Any:
        """What is encoded, as queries in the context of the next event: (P, width) -> (P, width).

        Args:
            users: (P,), -1 for unknown ones.
            context: (P, W), None where no features of it are declared.
        """
        return vectors if self.beside_context is None else vectors + self.beside_context(context, training=training)

    def queries(self, users: Mapping[str, Any]) -> Any:
        """The vector of what comes after the history: (B, L) -> (B, width)."""
        return self.full(self._last(users, training=False))

    def catalogue(self) -> Any:
        """The item vectors (n_items, width)."""
        table = tf.convert_to_tensor(self.items.value)
        return table if self.beside_item is None else table + self.full(self.beside_item(tf.range(self.n_items)))

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`{"history": (B, L), "items": (B, C)}` -> logits (B, C)."""
        scores = self.full(tf.linalg.matvec(self.item_vectors(inputs["items"]), self._last(inputs, training)))
        if not self.repeats:
            return scores
        history = inputs["history"][:, -self.length :]
        return repeats.joined(scores, repeats.of_candidates(history, inputs["items"], self._age_weights()))

    def own_items(self, users: Mapping[str, Any]) -> Any:
        """With `repeats`, what the history's items have more, each where it was last: (B, L) -> (B, at most length)."""
        if not self.repeats:
            return super().own_items(users)
        history = users["history"][:, -self.length :]
        dots = self.full(tf.linalg.matvec(self.item_vectors(history), self._last(users, training=False)))
        return repeats.joined(dots, repeats.at_end(history, self._age_weights())) - dots

    def _age_weights(self) -> Any:
        return tf.exp(REPEAT_PACE * tf.convert_to_tensor(self.repeat_ages.value))

    def _last(self, users: Mapping[str, Any], training: bool) -> Any:
        encoded = self.encode(users["history"][:, -self.length :], training)[:, -1]
        return self.head(encoded, users["user"], users.get("context"), training)

    def learn_counts(self, counts: npt.NDArray[Any]) -> None:
        """Weigh the draws by how often items were taken; needed where `sampling` is `popularity`."""
        if self.sampling == "uniform":
            return
        weights = np.maximum(np.asarray(counts, dtype=np.float64), 1e-3) ** self.alpha
        share = weights / weights.sum()
        self._cumulative = tf.constant(np.cumsum(share), tf.float64)
        self._log_share = tf.constant(np.log(share), tf.float32)

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """The loss at every position of `batch["window"]` (B, L + 1) whose next item is known, as a mean.

        With `batch["read_at"]` (B, L) the item after position p is predicted from what was known at position `read_at` of p:
        of a basket, before all of it.
        """
        windows = windows_of(batch, self.length)
        if self.repeats:
            return self._loss_with_repeats(windows, batch, seed)
        there = tf.where(windows.there)  # (P, 2)
        users = tf.gather(batch["user"], there[:, 0])
        context = tf.gather_nd(batch["context"], there) if self.context_side else None
        encoded = tf.gather(self.encode(windows.inputs, training=True), windows.read_at, batch_dims=1)
        vectors = self.head(tf.gather_nd(encoded, there), users, context, training=True)
        return self.loss_of(vectors, tf.gather_nd(windows.targets, there), windows.items, there[:, 0], seed)

    def loss_of(self, vectors: Any, targets: Any, windows: Any, rows: Any, seed: Any) -> Any:
        """The configured loss: vectors (P, width), their next items (P,), and the windows (B, W) that they are rows (P,) of."""
        if self.loss_name == "softmax":
            everything = tf.cast(self.catalogue(), self.compute_dtype)
            logits = self.full(tf.matmul(vectors, everything, transpose_b=True))
            return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
        positives = self.full(tf.reduce_sum(vectors * self.item_vectors(targets), axis=-1))
        drawn = self._draw(() if self.shared else (tf.shape(targets)[0],), seed)
        negatives = self.item_vectors(drawn)
        if self.shared:
            logits = self.full(tf.matmul(vectors, negatives, transpose_b=True))
        else:
            logits = self.full(tf.linalg.matvec(negatives, vectors))
        if self.loss_name == "sampled_softmax" and self._log_share is not None:
            positives -= tf.gather(self._log_share, targets)
            logits -= tf.gather(self._log_share, drawn)
        hits = tf.equal(drawn, targets[:, tf.newaxis])
        if self.bar_window and self.shared:
            hits |= tf.gather(is_among(drawn[tf.newaxis], windows), rows)
        elif self.bar_window:
            hits |= is_among(drawn, tf.gather(windows, rows))
        return self._held_against(positives, tf.where(hits, tf.constant(BARRED, logits.dtype), logits))

    def _loss_with_repeats(self, windows: Windows, batch: Mapping[str, Any], seed: Any) -> Any:
        """Sampled softmax over the next item, the items of the window up to each place, and drawn ones that are not in it.

        The logits of drawn items are corrected by how often each is expected (logQ), as those of the window are all there.
        """
        inputs, targets, read_at = windows.inputs, windows.targets, windows.read_at
        batch_rows, length = tf.shape(inputs)[0], tf.shape(inputs)[1]
        users = tf.repeat(batch["user"], length)
        context = tf.reshape(batch["context"], [-1, self.context_width]) if self.context_side else None
        encoded = tf.gather(self.encode(inputs, training=True), read_at, batch_dims=1)
        encoded = tf.reshape(encoded, [-1, self.width])
        queries = tf.reshape(self.head(encoded, users, context, training=True), [batch_rows, length, self.width])
        weights = self._age_weights()

        positives = self.full(tf.reduce_sum(queries * self.item_vectors(targets), axis=-1))
        positives = repeats.joined(positives, repeats.of_next(inputs, targets, read_at, weights))
        taken, last = (tf.gather(each, read_at, batch_dims=1) for each in repeats.at_places(inputs, weights))
        own = repeats.joined(self.full(tf.matmul(queries, self.item_vectors(inputs), transpose_b=True)), taken)
        own = tf.where(last & tf.not_equal(inputs[:, tf.newaxis], targets[:, :, tf.newaxis]), own, BARRED)

        drawn = self._draw((), seed)
        flat = tf.reshape(queries, [-1, self.width])
        others = tf.reshape(
            self.full(tf.matmul(flat, self.item_vectors(drawn), transpose_b=True)), [batch_rows, length, -1]
        )
        share = -math.log(self.n_items) if self._log_share is None else tf.gather(self._log_share, drawn)
        others -= share + math.log(self.negatives)
        barred = is_among(drawn[tf.newaxis], windows.items)
        others = tf.where(barred[:, tf.newaxis], BARRED, others)
        there = tf.where(windows.there)
        negatives = tf.concat([tf.gather_nd(own, there), tf.gather_nd(others, there)], axis=1)
        return losses.sampled_softmax(tf.gather_nd(positives, there), negatives)

    def _held_against(self, positives: Any, negatives: Any) -> Any:
        if self.loss_name == "sampled_softmax":
            return losses.sampled_softmax(positives, negatives)
        if self.loss_name == "bpr_max":
            return losses.bpr_max(positives, negatives, self.regularisation)
        if self.loss_name == "top1_max":
            return losses.top1_max(positives, negatives)
        calibrated = self.loss_name == "gbce"
        beta = losses.calibration_beta(self.negatives, self.n_items, self.gbce_t) if calibrated else 1.0
        return losses.generalised_cross_entropy(positives, negatives, beta)

    def _draw(self, rows: tuple[Any, ...], seed: Any) -> Any:
        """Items (M,), or (P, M) for rows (P,), by the step's seed."""
        shape = tf.stack([*rows, self.negatives])
        if self.sampling == "uniform":
            return tf.random.stateless_uniform(shape, seed, 0, self.n_items, tf.int32)
        if self._cumulative is None:
            raise ValueError("sampling by popularity needs learn_counts before training")
        points = tf.random.stateless_uniform(shape, seed, dtype=tf.float64)
        places = tf.searchsorted(self._cumulative, tf.reshape(points, [-1]), side="right")
        return tf.reshape(tf.minimum(places, self.n_items - 1), shape)
