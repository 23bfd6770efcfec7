"""NeuMF: neural matrix factorisation, with the user's half of the network computed once a row.

Source: He, Liao, Zhang, Nie, Hu and Chua (2017), "Neural Collaborative Filtering", WWW '17.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from recsys_spark.models.contract import Recommender
from recsys_spark.models.halves import Halves
from recsys_spark.models.losses import binary_cross_entropy, squared_error

_MODES: Final = ("neumf", "gmf", "mlp")
_OBJECTIVES: Final = ("implicit", "explicit", "clicks")
_EMBEDDING_STDDEV: Final = 0.01


@keras.saving.register_keras_serializable(package="recsys_spark")
class NeuMF(Recommender):
    """Generalised matrix factorisation and a multi-layer perceptron, joined in one prediction layer.

    With p, q the embeddings of user u and item i in the GMF half, and r, s those in the MLP half:

        h_1 = relu(A r + B s + c_1),  h_k = relu(W_k h_(k-1) + c_k)
        logit(u, i) = a . (p * q) + w . h_L + bias

    (A B) is the paper's first dense layer over r and s put together; in two parts, A r + c_1 is computed once for
    all the candidates of a row. Trained on binary cross-entropy (`losses.binary_cross_entropy`) of pairs, or, with the
    objective `explicit`, on squared error of ratings, where the logit is the rating itself and the bias starts at their
    mean, or, with `clicks`, on `clicks.ClickLoss` of impressions. Declared features are added to the embeddings of both
    halves, each by vectors of that half's own.

    `{"user": (B,), "items": (B, C)}` of integer indices -> logits (B, C), in the precision of the weights.

    Embeddings start as normal(0, 0.01), hidden layers as Glorot uniform and the prediction layer as LeCun
    uniform, as in the paper's own code. A batch that looks up more items than there are takes B s of the whole
    catalogue once and gathers from that: the same values for less work.

    Args:
        n_users: rows of the user tables. `call` does not check indices: the feed does (`feed.layouts`).
        n_items: rows of the item tables.
        gmf_width: of a user's, and of an item's, embedding in the GMF half.
        mlp_width: of a user's, and of an item's, embedding in the MLP half, whose input is twice as wide.
        mlp_layers: units of each hidden layer.
        dropout: share of each hidden layer's units that is dropped in training.
        l2: weight of the squared embeddings of a pair, as a mean over the batch's pairs; its cost is the batch's.
        objective: `implicit`, `explicit` or `clicks`.
        mean_value: of the ratings.
        mode: `neumf`, or one half alone, `gmf` or `mlp`, to be trained first and joined by `join_pretrained`.
        seed: of the first weights and of dropout.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        gmf_width: int = 64,
        mlp_width: int = 64,
        mlp_layers: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        l2: float = 0.0,
        mode: str = "neumf",
        objective: str = "implicit",
        mean_value: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_users, n_items, seed=seed, **kwargs)
        if min(gmf_width, mlp_width, *mlp_layers) < 1 or not mlp_layers:
            raise ValueError("the widths and each of mlp_layers must be 1 or more")
        if mode not in _MODES:
            raise ValueError(f"mode is {mode!r}, expected one of {', '.join(_MODES)}")
        if objective not in _OBJECTIVES:
            raise ValueError(f"objective is {objective!r}, expected one of {', '.join(_OBJECTIVES)}")
        self.gmf_width, self.mlp_width, self.mlp_layers = gmf_width, mlp_width, tuple(mlp_layers)
        self.dropout, self.l2, self.mode = dropout, l2, mode
        self.objective, self.mean_value, self.predicts_ratings = objective, mean_value, objective == "explicit"
        self.gives_logits = objective == "implicit"
        self.in_numpy = self.user_side is None and self.item_side is None and not self.context_side
        self.has_gmf, self.has_mlp = mode != "mlp", mode != "gmf"
        layers = range(len(mlp_layers)) if self.has_mlp else ()
        self.droppers = [keras.layers.Dropout(dropout, seed=seed + k, dtype=self.dtype_policy) for k in layers]

    def build(self, input_shape: Any = None) -> None:
        """Make the weights, whose sizes hang on the constructor's arguments alone."""
        lecun = 3.0 / (self.gmf_width * self.has_gmf + self.mlp_layers[-1] * self.has_mlp)
        if self.has_gmf:
            self.user_gmf = self.table("user_gmf", self.n_users, self.gmf_width, _EMBEDDING_STDDEV)
            self.item_gmf = self.table("item_gmf", self.n_items, self.gmf_width, _EMBEDDING_STDDEV)
            self.output_gmf = self._uniform("output_gmf", (self.gmf_width,), lecun)
        if self.has_mlp:
            self.user_mlp = self.table("user_mlp", self.n_users, self.mlp_width, _EMBEDDING_STDDEV)
            self.item_mlp = self.table("item_mlp", self.n_items, self.mlp_width, _EMBEDDING_STDDEV)
            first = (self.mlp_width, self.mlp_layers[0])
            glorot = 6.0 / (2 * self.mlp_width + self.mlp_layers[0])  # of the two parts put together
            self.user_kernel = self._uniform("user_kernel", first, glorot)
            self.item_kernel = self._uniform("item_kernel", first, glorot)
            self.first_bias = self.zeros("first_bias", first[1:])
            shapes = list(zip(self.mlp_layers, self.mlp_layers[1:], strict=False))
            self.hidden_kernels = [
                self._uniform(f"hidden_kernel_{layer}", shape, 6.0 / sum(shape))
                for layer, shape in enumerate(shapes, start=2)
            ]
            self.hidden_biases = [
                self.zeros(f"hidden_bias_{layer}", shape[1:]) for layer, shape in enumerate(shapes, start=2)
            ]
            self.output_mlp = self._uniform("output_mlp", (self.mlp_layers[-1], 1), lecun)
        start = keras.initializers.Constant(self.mean_value if self.predicts_ratings else 0.0)
        self.output_bias = self.add_weight(shape=(), initializer=start, name="output_bias")
        self.beside_user = self._encoders(partial(self.side_encoder, self.user_side), "beside_user")
        self.beside_item = self._encoders(partial(self.side_encoder, self.item_side), "beside_item")
        self.beside_context = self._encoders(self.context_encoder, "beside_context")

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`{"user": (B,), "items": (B, C)}` -> logits (B, C)."""
        users, items = inputs["user"], inputs["items"]
        user_vectors = self.user_vectors(users)
        if self.l2 and training:
            self.add_loss(self.l2 * (self._square(user_vectors) + self._square(self.item_vectors(items))))
        if self.context_side:
            user_vectors = _with_features(user_vectors, self.beside_context, inputs["context"], training=training)
        return self.scores(self.user_part(user_vectors), self._part_of_items(items), training)

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """Binary cross-entropy of a batch of pairs, squared error of one of ratings, or the loss of one of impressions."""
        scores = self(batch, training=True)
        if self.objective == "clicks":
            return self.clicks(scores[:, 0], batch, seed)
        return squared_error(scores[:, 0], batch["value"]) if self.predicts_ratings else binary_cross_entropy(scores)

    def user_vectors(self, user_idx: Any) -> Halves:
        """The users' embeddings: (B,) -> (B, gmf_width) and (B, mlp_width)."""
        own = Halves(
            self.rows(self.user_gmf, user_idx) if self.has_gmf else None,
            self.rows(self.user_mlp, user_idx) if self.has_mlp else None,
        )
        return _with_features(own, self.beside_user, user_idx)

    def item_vectors(self, item_idx: Any) -> Halves:
        """The items' embeddings: (..., C) -> (..., C, gmf_width) and (..., C, mlp_width)."""
        own = Halves(
            self.rows(self.item_gmf, item_idx) if self.has_gmf else None,
            self.rows(self.item_mlp, item_idx) if self.has_mlp else None,
        )
        return _with_features(own, self.beside_item, item_idx)

    def user_part(self, vectors: Halves) -> Halves:
        """All that a score needs of a user: a * p (B, gmf_width) and A r + c_1 (B, mlp_layers[0])."""
        gmf = vectors.gmf * self.read(self.output_gmf) if self.has_gmf else None
        mlp = self.dense(vectors.mlp, self.user_kernel, self.first_bias) if self.has_mlp else None
        return Halves(gmf, mlp)

    def item_part(self, vectors: Halves) -> Halves:
        """All that a score needs of an item: q (..., C, gmf_width) and B s (..., C, mlp_layers[0])."""
        return Halves(vectors.gmf, self.dense(vectors.mlp, self.item_kernel) if self.has_mlp else None)

    def scores(self, user_part: Halves, item_part: Halves, training: bool = False) -> Any:
        """Logits of users against items.

        (B, .) and (B, C, .) -> (B, C): each user with candidates of its own;
        (U, .) and (1, I, .) -> (U, I): each user with every item.
        """
        logits = self.read(self.output_bias)
        if self.has_gmf:
            logits += tf.linalg.matvec(item_part.gmf, user_part.gmf)
        if self.has_mlp:
            hidden = tf.nn.relu(tf.expand_dims(user_part.mlp, axis=1) + item_part.mlp)
            hidden = self.droppers[0](hidden, training=training)
            further = zip(self.hidden_kernels, self.hidden_biases, self.droppers[1:], strict=True)
            for kernel, bias, drop in further:
                hidden = drop(tf.nn.relu(self.dense(hidden, kernel, bias)), training=training)
            logits += tf.squeeze(self.dense(hidden, self.output_mlp), axis=-1)
        return tf.cast(logits, self.variable_dtype)

    def join_pretrained(self, gmf_model: NeuMF, mlp_model: NeuMF, alpha: float = 0.5) -> None:
        """Start from halves that were trained alone; logits become alpha * the GMF's + (1 - alpha) * the MLP's.

        The prediction layer's weights become (alpha * a, (1 - alpha) * w), the paper's equation 13, its bias likewise.

        Raises:
            ValueError: this model, or one given, has not the halves that it should.
        """
        for model, mode in ((self, "neumf"), (gmf_model, "gmf"), (mlp_model, "mlp")):
            if model.mode != mode:
                raise ValueError(f"expected a model of mode {mode}, got {model.mode}: a neumf joins gmf and mlp")
        halves = {**gmf_model._by_name(), **mlp_model._by_name()}
        theirs = {name: np.asarray(variable) for name, variable in halves.items()}
        theirs["output_gmf"] = alpha * theirs["output_gmf"]
        theirs["output_mlp"] = (1.0 - alpha) * theirs["output_mlp"]
        theirs["output_bias"] = alpha * gmf_model.output_bias + (1.0 - alpha) * mlp_model.output_bias
        for name, variable in self._by_name().items():
            variable.assign(theirs[name])

    def _by_name(self) -> dict[str, Any]:
        """What is trained, by names that both halves' encoders have each for themselves."""
        encoders = [one for pair in (self.beside_user, self.beside_item, self.beside_context) for one in pair if one]
        of_encoders = {f"{one.name}/{weight.name}": weight for one in encoders for weight in one.trainable_variables}
        inside = {id(weight) for weight in of_encoders.values()}
        return of_encoders | {weight.name: weight for weight in self.trainable_variables if id(weight) not in inside}

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights as numpy, by name: what `scoring.BlockScorer` works from."""
        return {variable.name: np.asarray(variable) for variable in self.trainable_variables}

    def settings(self) -> Sequence[str]:
        """See `Recommender.settings`."""
        return ("gmf_width", "mlp_width", "mlp_layers", "dropout", "l2", "mode", "objective", "mean_value")

    def _part_of_items(self, items: Any) -> Halves:
        """`item_part` of the items looked up; by way of the whole catalogue where that is the smaller."""
        lookups = 0 if None in items.shape else math.prod(items.shape)
        if not self.has_mlp or lookups < self.n_items or self.item_side is not None:
            return self.item_part(self.item_vectors(items))
        catalogue = self.dense(self.read(self.item_mlp), self.item_kernel)
        return Halves(self.rows(self.item_gmf, items) if self.has_gmf else None, tf.gather(catalogue, items))

    def _square(self, vectors: Halves) -> Any:
        """The squared length of an embedding, summed over the halves: the mean over those given, a scalar."""
        squares = [tf.square(tf.cast(half, self.variable_dtype)) for half in vectors if half is not None]
        return sum(tf.reduce_mean(tf.reduce_sum(each, axis=-1)) for each in squares)

    def _encoders(self, make: Callable[[int, str], Any], name: str) -> Halves:
        """What adds declared features to the embeddings of each half: `make(width, name)` of those that are there."""
        gmf = make(self.gmf_width, f"{name}_gmf") if self.has_gmf else None
        return Halves(gmf, make(self.mlp_width, f"{name}_mlp") if self.has_mlp else None)

    def _uniform(self, name: str, shape: Sequence[int], squared_limit: float) -> Any:
        limit = math.sqrt(squared_limit)
        initializer = keras.initializers.RandomUniform(-limit, limit, seed=next(self._seeds))
        return self.add_weight(shape=shape, initializer=initializer, name=name)


def _with_features(own: Halves, encoders: Halves, inputs: Any, **options: bool) -> Halves:
    """Each half's embeddings plus what its encoder, if it has one, says of indices or of a context."""
    pairs = zip(own, encoders, strict=True)
    return Halves(*(half if encoder is None else half + encoder(inputs, **options) for half, encoder in pairs))
