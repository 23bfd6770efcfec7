"""How the examples of each kind travel: one block of int32 a row group, taken apart again in the training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.model_settings import PAIRS, RATED_PAIRS, RATINGS, SEQUENCES, Kind

Block = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of example, `width` integers a row, of which each row is `samples` samples.

    The user comes first, then `items` items, then the value of kinds that have one. A float column travels as the bits of a
    float32, a packed one as the integers that it packs. `n_users` and `n_items` are those of the model that is trained.
    """

    kind: Kind
    columns: tuple[str, ...]
    width: int
    items: int
    samples: int
    n_users: int | None = None
    n_items: int | None = None

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
                "with other settings (examples.negatives, examples.window), run jobs/examples.py again"
            )
        self._check("user", block[:, :1], self.n_users)
        self._check("item", block[:, 1 : 1 + self.items], self.n_items)
        return block

    def batch(self, block: Any) -> dict[str, Any]:
        """A tensor (B, width) as the batch that a model of this kind takes: see `models.contract.Recommender`."""
        import tensorflow as tf

        items = "window" if self.kind == SEQUENCES else "items"
        batch = {"user": block[:, 0], items: block[:, 1 : 1 + self.items]}
        return batch | ({"value": tf.bitcast(block[:, -1], tf.float32)} if c.VALUE in self.columns else {})

    def _check(self, what: str, indices: Block, most: int | None) -> None:
        # on a GPU a row beyond a table is read as zeros, without a word
        if most is not None and (highest := int(indices.max(initial=-1))) >= most:
            raise UserError(
                f"{self.kind} examples hold {what} index {highest:,}, the model's table of {what}s ends at {most - 1:,}: the "
                "examples are of another index; run jobs/features.py and jobs/examples.py again"
            )


def layout_of(
    kind: Kind, negatives: int, window: int, n_users: int | None = None, n_items: int | None = None
) -> Layout:
    """The layout of a kind of example.

    Args:
        negatives: beside each positive, of pairs.
        window: items that a model reads, of sequences.
        n_users: of the model; None: indices are not checked.
        n_items: likewise.
    """
    rows = {"n_users": n_users, "n_items": n_items}
    if kind in (PAIRS, RATED_PAIRS):
        columns = (c.USER_IDX, c.ITEM_IDX, *(c.negative(k) for k in range(1, negatives + 1)))
        columns = columns if kind == PAIRS else (*columns, c.VALUE)
        return Layout(kind, columns, len(columns), 1 + negatives, 1 + negatives, **rows)
    if kind == RATINGS:
        return Layout(kind, (c.USER_IDX, c.ITEM_IDX, c.VALUE), 3, 1, 1, **rows)
    assert kind == SEQUENCES
    return Layout(kind, (c.USER_IDX, c.WINDOW), 2 + window, 1 + window, 1, **rows)


def _as_ints(column: npt.NDArray[Any]) -> Block:
    """(rows,) -> (rows, w): w is 1 but for a packed column."""
    if column.dtype == object:
        return np.frombuffer(b"".join(column), dtype="<i4").reshape(len(column), -1).astype(np.int32, copy=False)
    if np.issubdtype(column.dtype, np.floating):
        return column.astype(np.float32).view(np.int32)[:, None]
    return column.astype(np.int32, copy=False)[:, None]
