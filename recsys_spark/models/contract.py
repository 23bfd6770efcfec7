"""What training, scoring and evaluation ask of a model, and nothing more: every model here is a `Recommender`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, ClassVar

import keras
import tensorflow as tf

from recsys_spark.features.spec import context_length
from recsys_spark.models.clicks import ClickLoss
from recsys_spark.models.side import ContextEncoder, SideEncoder, SideTable, feature_specs_of

Layer = tuple[Any, Any]  # kernel and bias


class Recommender(keras.Model):
    """A model of users and items that trains on one kind of example and scores users against items.

    Batches of training, by `examples`:

    - `pairs`: `{"user": (B,), "items": (B, 1 + K)}`, the positive in column 0, its negatives beside it;
    - `rated_pairs`: the same with `"value": (B,)` of the positive, NaN where it is not known, and `"converted": (B,)`, 1 or 0,
      NaN where no types of event convert;
    - `ratings`: `{"user": (B,), "items": (B, 1), "value": (B,)}`;
    - `impressions`: `{"user": (B,), "items": (B, 1), "clicked": (B,), "position": (B,)}`, 1.0 for a click, 0.0 for none, and
      the code of the position it was shown at;
    - `sequences`: `{"user": (B,), "window": (B, L + 1)}`, a user's items oldest first, -1 in front of short ones; with baskets
      also `"read_at": (B, L)`, for each item but the first the place up to which the window was known before its basket.

    With features of the context, batches hold `"context": (B, W)` too, of W integers an event (see `ContextEncoder`); of
    sequences (B, L, W), that of the item after each of the L that are read.

    Scoring: `call({"user": (B,), "history": (B, L), "items": (B, C)})` -> scores (B, C), higher is better; with features of the
    context also `"context": (B, W)`, of -1 where it is not given. A user index of -1 is a user that the model does not know;
    an item of -1 in a history is no item. A model that `retrieves` scores by
    the dot product of `queries` and `catalogue`, so that the best of millions of items can be found without scoring each.

    Args:
        n_users: rows of the user tables: indices run from 0 to one below.
        n_items: rows of the item tables, likewise.
        seed: of the first weights, and of dropout.
        user_side: the declared features of users, as `features.spec.FeatureSpec` or their mappings; `user_side.fill` takes
            their values.
        item_side: likewise of items.
        context_side: likewise of the context of an event, which comes with it.
        clicks: arguments of `clicks.ClickLoss`, for models that learn from impressions; the score knows nothing of it.
    """

    examples: ClassVar[str] = "pairs"
    retrieves: ClassVar[bool] = False
    reads_history: ClassVar[bool] = False
    predicts_ratings: bool = False
    gives_logits: bool = False  # whether the sigmoid of a score is a probability
    # "user", "item": whom it scores by declared features though it has never met them, with rows of zeros as weights
    from_content: ClassVar[tuple[str, ...]] = ()
    without_history: bool = False  # whether it reads histories, and scores users who have none
    pair_floats: int = 256  # numbers that are held at once to score one item for one user, about: they bound a block
    in_numpy: bool = False  # whether `scoring.BlockScorer` scores it from its weights
    beside_user: Any = None  # what encodes the declared features of users, and of the context, once it is built
    beside_context: Any = None

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        seed: int = 0,
        user_side: Sequence[Any] = (),
        item_side: Sequence[Any] = (),
        context_side: Sequence[Any] = (),
        clicks: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(n_users, n_items) < 1:
            raise ValueError(f"there are {n_users} users and {n_items} items, expected 1 or more of each")
        self.n_users, self.n_items, self.seed = n_users, n_items, seed
        self.user_side = SideTable(user_side, n_users, name="user_side") if user_side else None
        self.item_side = SideTable(item_side, n_items, name="item_side") if item_side else None
        for table in (self.user_side, self.item_side):
            if table is not None:
                table.build()
        self.context_side = feature_specs_of(context_side)
        self.clicks, self._clicks = ClickLoss(**(clicks or {}), name="clicks"), dict(clicks) if clicks else None
        self.clicks.build()
        self._seeds: Iterator[int] = iter(range(1000 * seed, 1000 * seed + 1000))

    def training_loss(self, batch: Mapping[str, Any], seed: Any) -> Any:
        """The loss of a batch, a scalar; `seed` (2,) integers, other ones in every step, is for what it draws."""
        raise NotImplementedError

    def queries(self, users: Mapping[str, Any]) -> Any:
        """`{"user": (B,), "history": (B, L)}` -> vectors (B, d), where the model retrieves."""
        raise NotImplementedError

    def own_items(self, users: Mapping[str, Any]) -> Any:
        """What the latest items of the history have beside the dot product: (B, w) of the last w places; w is 0 here."""
        return tf.zeros([tf.shape(users["user"])[0], 0])

    def catalogue(self) -> Any:
        """Vectors of all items (n_items, d), where the model retrieves."""
        raise NotImplementedError

    def learn_counts(self, counts: Any) -> None:
        """Take how often each item was taken in the fit's parts, (n_items,), before training; most models do not care."""

    def running_statistics(self) -> Sequence[Any]:
        """Variables that a step moves without a gradient: ranks take the mean of theirs after each epoch."""
        return ()

    def settings(self) -> Sequence[str]:
        """Names of the constructor's own arguments, each an attribute of the same name, but for `layers`: `hidden`."""
        return ()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = ("n_users", "n_items", "seed", *self.settings())
        sides = {"user_side": self.user_side, "item_side": self.item_side}
        specs = {name: [asdict(spec) for spec in table.specs] for name, table in sides.items() if table is not None}
        if self.context_side:
            specs["context_side"] = [asdict(spec) for spec in self.context_side]
        clicks = {"clicks": dict(self._clicks)} if self._clicks else {}
        # Keras has `layers` of its own
        given = {name: getattr(self, "hidden" if name == "layers" else name) for name in own}
        return {**super().get_config(), **given, **specs, **clicks}

    def side_encoder(self, table: SideTable | None, width: int, name: str) -> Any:
        """What turns the declared features of users or items into vectors, built; None where none are declared."""
        if table is None:
            return None
        encoder = SideEncoder(table, width, next(self._seeds), name=name, dtype=self.dtype_policy)
        encoder.build()
        return encoder

    @property
    def context_width(self) -> int:
        """How many integers the context of an event is, 0 without."""
        return context_length(self.context_side)

    def context_encoder(self, width: int, name: str) -> Any:
        """What turns the context of events into vectors, built; None where no features of it are declared."""
        if not self.context_side:
            return None
        encoder = ContextEncoder(self.context_side, width, next(self._seeds), name=name, dtype=self.dtype_policy)
        encoder.build()
        return encoder

    def query_inputs(self, vectors: Any, users: Any, context: Any, training: bool) -> Any:
        """What a query's layers read: vectors (P, d), then those of the features of users (P,) and of the context (P, W).

        (P, `query_width(d)`): what is not declared takes no room.
        """
        x = [vectors]
        x += [] if self.beside_user is None else [self.beside_user(users)]
        x += [] if self.beside_context is None else [self.beside_context(context, training=training)]
        return tf.concat(x, axis=-1)

    def query_width(self, width: int) -> int:
        """How wide `query_inputs` makes vectors of this width, which its encoders have too."""
        return width * (1 + sum(encoder is not None for encoder in (self.beside_user, self.beside_context)))

    def table(self, name: str, rows: int, width: int, stddev: float) -> Any:
        """An embedding table; without autocast, as mixed precision would cast all of it for the sake of a batch's rows."""
        initializer = keras.initializers.RandomNormal(stddev=stddev, seed=next(self._seeds))
        return self.add_weight(shape=(rows, width), initializer=initializer, autocast=False, name=name)

    def glorot(self, name: str, shape: Sequence[int]) -> Any:
        """A dense kernel (n, m), Glorot uniform."""
        return self.add_weight(shape=shape, initializer=keras.initializers.GlorotUniform(next(self._seeds)), name=name)

    def zeros(self, name: str, shape: Sequence[int]) -> Any:
        """A bias that starts at zero."""
        return self.add_weight(shape=shape, initializer="zeros", name=name)

    def stack(self, name: str, units: Sequence[int]) -> list[Layer]:
        """Kernel and bias of each layer that leads from units[0] inputs to units[1], ..., units[-1] outputs."""
        return [
            (self.glorot(f"{name}_kernel_{k}", shape), self.zeros(f"{name}_bias_{k}", shape[1:]))
            for k, shape in enumerate(pairwise(units))
        ]

    def rows(self, table: Any, indices: Any) -> Any:
        """Rows of a table, in the precision of computing: (...,) -> (..., width)."""
        return tf.cast(tf.gather(table.value, indices), self.compute_dtype)

    def rows_or_zeros(self, table: Any, indices: Any) -> Any:
        """The same, where an index of -1 gives zeros."""
        return self.rows(table, tf.maximum(indices, 0)) * tf.cast(indices >= 0, self.compute_dtype)[..., tf.newaxis]

    def read(self, variable: Any) -> Any:
        """A variable, in the precision of computing."""
        return tf.cast(tf.convert_to_tensor(variable.value), self.compute_dtype)

    def dense(self, inputs: Any, kernel: Any, bias: Any = None) -> Any:
        """(..., n) times kernel (n, m), plus bias (m,) -> (..., m), as one flat matrix product."""
        product = tf.matmul(tf.reshape(inputs, [-1, kernel.shape[0]]), self.read(kernel))
        product = product if bias is None else tf.nn.bias_add(product, self.read(bias))
        return tf.reshape(product, [*sizes(inputs)[:-1], kernel.shape[1]])

    def through(self, inputs: Any, stack: Sequence[Layer], between: Callable[[Any], Any] = tf.nn.relu) -> Any:
        """(..., n) through dense layers, `between` after each but the last -> (..., m)."""
        *hidden, last = stack
        for kernel, bias in hidden:
            inputs = between(self.dense(inputs, kernel, bias))
        return self.dense(inputs, *last)

    def full(self, scores: Any) -> Any:
        """Scores in the precision of the weights."""
        return tf.cast(scores, self.variable_dtype)


def sizes(tensor: Any) -> list[Any]:
    """A tensor's shape: numbers where they are known, tensors where they are not."""
    return [tf.shape(tensor)[axis] if size is None else size for axis, size in enumerate(tensor.shape)]
