"""How the examples of each kind travel: one block of int32 a row group, taken apart again in the training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.model_settings import IMPRESSIONS, PAIRS, RATED_PAIRS, RATINGS, SEQUENCES, Kind

Block = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of example, `width` integers a row, of which each row is `samples` samples.

    A float column travels as the bits of a float32, a packed one as the integers that it packs. Contexts, of `context`
    integers an event, come last.
    """

    kind: Kind
    columns: tuple[str, ...]
    width: int
    samples: int
    events: int = 1  # that a row has contexts of
    context: int = 0  # integers of each

    def block(self, columns: Sequence[npt.NDArray[Any]]) -> Block:
        """The columns of a row group as (rows, width).

        Raises:
            UserError: they are of another width, as windows of another length are.
        """
        block = np.concatenate([_as_ints(column) for column in columns], axis=1)
        if block.shape[1] != self.width:
            raise UserError(
                f"rows of {self.kind} examples hold {block.shape[1]} numbers, expected {self.width}: the examples were made "
                "with other settings (examples.negatives, examples.window, features.declared), run jobs/examples.py again"
            )
        return block

    def batch(self, block: Any) -> dict[str, Any]:
        """A tensor (B, width) as the batch that a model of this kind takes: see `models.contract.Recommender`."""
        import tensorflow as tf

        if self.context:
            of_row = self.events * self.context
            shape = [-1, self.events, self.context] if self.kind == SEQUENCES else [-1, self.context]
            context = tf.reshape(block[:, self.width - of_row :], shape)
            return self._without_context(block[:, : self.width - of_row]) | {"context": context}
        return self._without_context(block)

    def _without_context(self, block: Any) -> dict[str, Any]:
        import tensorflow as tf

        if self.kind == PAIRS:
            return {"user": block[:, 0], "items": block[:, 1:]}
        if self.kind == RATED_PAIRS:
            return {"user": block[:, 0], "items": block[:, 1:-1], "value": tf.bitcast(block[:, -1], tf.float32)}
        if self.kind == RATINGS:
            return {"user": block[:, 0], "items": block[:, 1:2], "value": tf.bitcast(block[:, 2], tf.float32)}
        if self.kind == IMPRESSIONS:
            clicked = tf.cast(block[:, 2], tf.float32)
            return {"user": block[:, 0], "items": block[:, 1:2], "clicked": clicked, "position": block[:, 3]}
        return {"user": block[:, 0], "window": block[:, 1:]}


def layout_of(kind: Kind, negatives: int, window: int, context: int = 0) -> Layout:
    """The layout of a kind of example.

    Args:
        negatives: beside each positive, of pairs.
        window: items that a model reads, of sequences.
        context: integers of the context of an event, 0 for models that do not look at it.
    """
    plain = _plain(kind, negatives, window)
    if not context:
        return plain
    columns, width = (*plain.columns, c.CONTEXT), plain.width + plain.events * context
    return replace(plain, columns=columns, width=width, context=context)


def _plain(kind: Kind, negatives: int, window: int) -> Layout:
    if kind in (PAIRS, RATED_PAIRS):
        columns = (c.USER_IDX, c.ITEM_IDX, *(c.negative(k) for k in range(1, negatives + 1)))
        columns = columns if kind == PAIRS else (*columns, c.VALUE)
        return Layout(kind, columns, len(columns), 1 + negatives)
    if kind == RATINGS:
        return Layout(kind, (c.USER_IDX, c.ITEM_IDX, c.VALUE), 3, 1)
    if kind == IMPRESSIONS:
        return Layout(kind, (c.USER_IDX, c.ITEM_IDX, c.CLICKED, c.SHOWN_AT), 4, 1)
    assert kind == SEQUENCES
    return Layout(kind, (c.USER_IDX, c.WINDOW), 2 + window, 1, events=window)


def _as_ints(column: npt.NDArray[Any]) -> Block:
    """(rows,) -> (rows, w): w is 1 but for a packed column."""
    if column.dtype == object:
        return np.frombuffer(b"".join(column), dtype="<i4").reshape(len(column), -1).astype(np.int32, copy=False)
    if np.issubdtype(column.dtype, np.floating):
        return column.astype(np.float32).view(np.int32)[:, None]
    return column.astype(np.int32, copy=False)[:, None]
