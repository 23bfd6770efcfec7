"""How the examples of each kind travel: one block of int32 a row group, taken apart again in the training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.model_settings import IMPRESSIONS, PAIRS, RATED_PAIRS, RATINGS, SEQUENCES, Kind

Block = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of example, `width` integers a row, of which each row is `samples` samples.

    The user comes first, then `items` items, then what the kind says of them, an integer each, then, with `baskets`, where each
    of the row's `events` is read at, then their contexts, of `context` integers each. A float column travels as the bits of a
    float32, a packed one as the integers that it packs. `n_users` and `n_items` are those of the model that is trained, None
    where indices are not checked.
    """

    kind: Kind
    columns: tuple[str, ...]
    items: int
    said: tuple[str, ...]
    samples: int
    events: int = 1
    context: int = 0
    n_users: int | None = None
    n_items: int | None = None
    baskets: bool = False

    @property
    def width(self) -> int:
        """Integers of a row."""
        return 1 + self.items + len(self.said) + self.events * (self.baskets + self.context)

    def block(self, columns: Sequence[npt.NDArray[Any]]) -> Block:
        """The columns of a row group as (rows, width).

        Raises:
            UserError: they are of another width, as windows of another length are, or name a user or an item that the model
                does not have.
        """
        block = np.concatenate([_as_ints(column) for column in columns], axis=1)
        if block.shape[1] != self.width:
            raise UserError(
                f"rows of {self.kind} examples hold {block.shape[1]} numbers, expected {self.width}: the examples were made "
                "with other settings (examples.negatives, examples.window, features.declared), run jobs/examples.py again"
            )
        self._check("user", block[:, :1], self.n_users)
        self._check("item", block[:, 1 : 1 + self.items], self.n_items)
        return block

    def batch(self, block: Any) -> dict[str, Any]:
        """A tensor (B, width) as the batch that a model of this kind takes: see `models.contract.Recommender`."""
        import tensorflow as tf

        items, first = "window" if self.kind == SEQUENCES else "items", 1 + self.items
        batch = {"user": block[:, 0], items: block[:, 1:first]}
        for place, name in enumerate(self.said, start=first):
            batch[name] = _AS[name](tf, block[:, place])
        first += len(self.said)
        if self.baskets:
            batch["read_at"] = block[:, first : first + self.events]
            first += self.events
        if self.context:
            shape = [-1, self.events, self.context] if self.kind == SEQUENCES else [-1, self.context]
            batch["context"] = tf.reshape(block[:, first:], shape)
        return batch

    def _check(self, what: str, indices: Block, most: int | None) -> None:
        # on a GPU a row beyond a table is read as zeros, without a word
        if most is not None and (highest := int(indices.max(initial=-1))) >= most:
            raise UserError(
                f"{self.kind} examples hold {what} index {highest:,}, the model's table of {what}s ends at {most - 1:,}: the "
                "examples are of another index; run jobs/features.py and jobs/examples.py again"
            )


_AS: Final[dict[str, Any]] = {
    "value": lambda tf, column: tf.bitcast(column, tf.float32),
    "converted": lambda tf, column: tf.bitcast(column, tf.float32),
    "clicked": lambda tf, column: tf.cast(column, tf.float32),
    "position": lambda tf, column: column,
}


def layout_of(
    kind: Kind,
    negatives: int,
    window: int,
    context: int = 0,
    n_users: int | None = None,
    n_items: int | None = None,
    baskets: bool = False,
) -> Layout:
    """The layout of a kind of example.

    Args:
        negatives: beside each positive, of pairs.
        window: items that a model reads, of sequences.
        context: integers of the context of an event, 0 for models that do not look at it.
        n_users: of the model; None: indices are not checked.
        n_items: likewise.
        baskets: whether the examples say what each item of a sequence is to be predicted from; of no other kind.
    """
    pair, drawn = (c.USER_IDX, c.ITEM_IDX), tuple(c.negative(k) for k in range(1, negatives + 1))
    plain = {
        PAIRS: Layout(PAIRS, (*pair, *drawn), 1 + negatives, (), 1 + negatives),
        RATED_PAIRS: Layout(
            RATED_PAIRS, (*pair, *drawn, c.VALUE, c.CONVERTED), 1 + negatives, ("value", "converted"), 1 + negatives
        ),
        RATINGS: Layout(RATINGS, (*pair, c.VALUE), 1, ("value",), 1),
        IMPRESSIONS: Layout(IMPRESSIONS, (*pair, c.CLICKED, c.SHOWN_AT), 1, ("clicked", "position"), 1),
        SEQUENCES: Layout(SEQUENCES, (c.USER_IDX, c.WINDOW), 1 + window, (), 1, events=window),
    }[kind]
    baskets = baskets and kind == SEQUENCES
    columns = (*plain.columns, *[c.READ_AT] * baskets, *[c.CONTEXT] * bool(context))
    return replace(plain, columns=columns, context=context, baskets=baskets, n_users=n_users, n_items=n_items)


def _as_ints(column: npt.NDArray[Any]) -> Block:
    """(rows,) -> (rows, w): w is 1 but for a packed column."""
    if column.dtype == object and any(value is None for value in column):
        raise UserError(
            "the examples hold no contexts, or no baskets: they are older than features.declared or examples.baskets, run "
            "jobs/examples.py again"
        )
    if column.dtype == object:
        return np.frombuffer(b"".join(column), dtype="<i4").reshape(len(column), -1).astype(np.int32, copy=False)
    if np.issubdtype(column.dtype, np.floating):
        return column.astype(np.float32).view(np.int32)[:, None]
    return column.astype(np.int32, copy=False)[:, None]
