"""NeuMF over the whole catalogue: every item scored for a block of users, the best n kept. Numpy alone.

The arithmetic is that of `NeuMF.scores`, put another way. A user's share in a layer, c, is the same for all items, and
relu(x + c) = max(x, -c) + c, so a layer is one pass and one matrix product, and the c's travel on as a constant:

    relu(x + c) W + b = max(x, -c) W + (c W + b)

Items go by tiles whose hidden layers stay in a core's cache, and a tile meets all the users of a block before the next
one is taken up. A user's scores are the same, to the bit, whoever else is in the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from recsys_spark.models.halves import Halves
from recsys_spark.models.selection import BYTES_A_SCORE, TOGETHER, Floats, Ints, Ragged, best_of, finite


class BlockScorer:
    """Scores of every item for blocks of users; what it holds does not grow with the users.

    Args:
        model: a `NeuMF`, or its weights by name as `NeuMF.arrays` gives them. User tables may be memory-mapped, of
            which the block's rows alone are read, or left out where users come as vectors (`top_n_of`).
        threads: of this process, which share a block's users among them.
        block_users: users that one thread has in hand.
        tile_items: items that one thread has in hand; the hidden layers of so many should fit a core's cache.
        max_bytes: bound on what all threads hold at once, beside the weights and the answer, and on the items' share in the
            first layer, which is kept where it is smaller.

    Raises:
        ValueError: `max_bytes` is too small for one block and tile.
    """

    def __init__(
        self,
        model: Any,
        *,
        threads: int = 1,
        block_users: int = 128,
        tile_items: int = 512,
        max_bytes: int = 256 << 20,
    ) -> None:
        weights: Mapping[str, Floats] = model if isinstance(model, Mapping) else model.arrays()
        # plain views: slicing a np.memmap costs more than scoring a user with the slice
        self._weights = {name: np.asarray(array) for name, array in weights.items()}
        self._has_gmf, self._has_mlp = "item_gmf" in self._weights, "item_mlp" in self._weights
        self._hidden = _hidden_layers(self._weights)
        first = (self._weights["item_kernel"],) if self._has_mlp else ()
        self._units = [kernel.shape[1] for kernel in (*first, *(kernel for kernel, _ in self._hidden))]
        self._output_mlp: Any = np.ascontiguousarray(self._weights["output_mlp"][:, 0]) if self._has_mlp else None
        self._threads, self._block_users, self._tile_items = threads, block_users, tile_items
        self.n_items = len(self._weights["item_gmf" if self._has_gmf else "item_mlp"])
        self._chunk_items, self._max_bytes = self._widest_chunk(max_bytes), max_bytes
        self._libraries = ThreadpoolController()

    def top_n(self, user_idx: npt.ArrayLike, n: int, exclude: Ragged | None = None) -> tuple[Ints, Floats]:
        """Each user's n best items, best first, equal scores by lower index: item_idx (U, n), score (U, n).

        Where fewer than n items are left, -1 with a score of -inf fills the row.

        Args:
            exclude: items to leave out, `(indptr (U+1,), item_idx)`: user u's are
                `item_idx[indptr[u]:indptr[u + 1]]`; those that the model does not know are passed over.

        Raises:
            ValueError: a user outside the tables, an `indptr` of another length, or scores that are not finite.
        """
        return self.top_n_of(self.user_vectors(user_idx), n, exclude)

    def top_n_of(self, vectors: Halves, n: int, exclude: Ragged | None = None) -> tuple[Ints, Floats]:
        """`top_n` of users given by their embeddings, (U, gmf_width) and (U, mlp_width)."""
        users = _count(vectors)
        if n < 1:
            raise ValueError(f"n is {n}, expected 1 or more")
        if exclude is not None and len(exclude[0]) != users + 1:
            raise ValueError(
                f"exclude's indptr has {len(exclude[0])} entries, expected {users + 1}: one more than users"
            )
        items, scores = np.empty((users, n), dtype=np.int32), np.empty((users, n), dtype=np.float32)

        def keep_best(rows: slice) -> None:
            block = _take(vectors, rows)
            barred = None if exclude is None else (exclude[0][rows.start : rows.stop + 1], exclude[1])
            items[rows], scores[rows] = best_of(self._chunks(block), _count(block), n, barred)

        self._for_each_block(users, keep_best)
        return items, scores

    def all_scores(self, user_idx: npt.ArrayLike) -> Floats:
        """Every item's score for each user: (U,) -> (U, n_items), which is the caller's to bound by U.

        Raises:
            ValueError: a user outside the tables, or scores that are not finite.
        """
        vectors = self.user_vectors(user_idx)
        scores = np.empty((_count(vectors), self.n_items), dtype=np.float32)
        self._for_each_block(len(scores), lambda rows: self._score(_take(vectors, rows), 0, scores[rows]))
        return scores

    def scores(self, user_idx: npt.ArrayLike, item_idx: npt.NDArray[Any]) -> Floats:
        """Each user's own items: (U,) and (U, C) -> (U, C).

        Raises:
            ValueError: a user or an item outside the tables.
        """
        w, vectors, parts = self._weights, self.user_vectors(user_idx), self._parts
        if item_idx.size and not 0 <= item_idx.min() <= item_idx.max() < self.n_items:
            raise ValueError(
                f"item indices run from {item_idx.min()} to {item_idx.max()}, the model's from 0 to {self.n_items - 1}"
            )
        scores = np.full(item_idx.shape, w["output_bias"], dtype=np.float32)
        # one user after the other in the same memory: fresh pages cost as much as the arithmetic
        own = np.empty((item_idx.shape[1], vectors.gmf.shape[1]), np.float32) if self._has_gmf else None
        hidden = [np.empty((item_idx.shape[1], units), np.float32) for units in self._units]
        with self._libraries.limit(limits=1, user_api="blas"):
            for row, items in enumerate(item_idx):
                if self._has_gmf:
                    np.take(w["item_gmf"], items, axis=0, out=own, mode="clip")
                    scores[row] += own @ (vectors.gmf[row] * w["output_gmf"])
                if self._has_mlp:
                    shifts = self._shifts(vectors.mlp[row])
                    if parts is None:
                        np.matmul(w["item_mlp"][items], w["item_kernel"], out=hidden[0])
                    else:
                        np.take(parts, items, axis=0, out=hidden[0], mode="clip")
                    scores[row] += self._mlp(hidden[0], [-shift for shift in shifts], hidden)
                    scores[row] += shifts[-1] @ self._output_mlp
        return scores

    @cached_property
    def _parts(self) -> Floats | None:
        """The items' share in the first layer, (n_items, units), for users' own items, which come in no order that a tile could
        serve; None where it is more than `max_bytes`. Made when first asked for: O(n_items)."""
        if not self._has_mlp or 4 * self.n_items * self._units[0] > self._max_bytes:
            return None
        with self._libraries.limit(limits=1, user_api="blas"):
            parts: Floats = self._weights["item_mlp"] @ self._weights["item_kernel"]
            return parts

    def user_vectors(self, user_idx: npt.ArrayLike) -> Halves:
        """The users' embeddings: (U,) -> (U, gmf_width) and (U, mlp_width).

        Raises:
            ValueError: a user outside the tables, or there are none.
        """
        tables = Halves(self._weights.get("user_gmf"), self._weights.get("user_mlp"))
        capacity = _count(tables)
        indices = np.asarray(user_idx, dtype=np.int64)
        outside = indices[(indices < 0) | (indices >= capacity)]
        if outside.size:
            raise ValueError(f"user index {outside[0]} is outside the model's {capacity} users: give it the fallback")
        return _take(tables, indices)

    def _chunks(self, vectors: Halves) -> Iterator[tuple[int, Floats]]:
        """All items' scores (U, W), W of them at a time, each time with the first item's index."""
        for start in range(0, self.n_items, self._chunk_items):
            chunk = np.empty((_count(vectors), min(self._chunk_items, self.n_items - start)), dtype=np.float32)
            self._score(vectors, start, chunk)
            yield start, chunk

    def _score(self, vectors: Halves, first_item: int, scores: Floats) -> None:
        """Fill scores (U, W) of the W items from `first_item` on."""
        w = self._weights
        scores[:] = w["output_bias"]
        gmf = vectors.gmf * w["output_gmf"] if self._has_gmf else ()
        shifts = [self._shifts(user) for user in vectors.mlp] if self._has_mlp else []
        for row, of_user in enumerate(shifts):
            scores[row] += of_user[-1] @ self._output_mlp
        floors = [[-shift for shift in of_user] for of_user in shifts]
        hidden = [np.empty((self._tile_items, len(floor)), dtype=np.float32) for floor in floors[0]] if floors else []
        for start in range(0, scores.shape[1], self._tile_items):
            tile = scores[:, start : start + self._tile_items]
            items = slice(first_item + start, first_item + start + tile.shape[1])
            for row, user in enumerate(gmf):
                tile[row] += w["item_gmf"][items] @ user
            part = w["item_mlp"][items] @ w["item_kernel"] if floors else None
            into = [buffer[: tile.shape[1]] for buffer in hidden]
            for row, of_user in enumerate(floors):
                tile[row] += self._mlp(part, of_user, into)
        finite(scores)

    def _shifts(self, user: Floats) -> list[Floats]:
        """What a user (mlp_width,) adds in each hidden layer before its relu: c, layer by layer."""
        shifts: list[Floats] = [user @ self._weights["user_kernel"] + self._weights["first_bias"]]
        for kernel, bias in self._hidden:
            shifts.append(shifts[-1] @ kernel + bias)
        return shifts

    def _mlp(self, part: Any, floors: list[Floats], hidden: list[Floats]) -> Any:
        """One user's MLP logits of a tile's items but for the constant: (T, mlp_layers[0]) -> (T,).

        Args:
            floors: -c, layer by layer.
            hidden: where to put each layer's output, (T, units).
        """
        values = np.maximum(part, floors[0], out=hidden[0])
        for (kernel, _), floor, into in zip(self._hidden, floors[1:], hidden[1:], strict=True):
            np.matmul(values, kernel, out=into)
            values = np.maximum(into, floor, out=into)
        return values @ self._output_mlp

    def _for_each_block(self, users: int, work: Callable[[slice], None]) -> None:
        size = max(1, min(self._block_users, -(-users // self._threads)))
        blocks = [slice(start, min(start + size, users)) for start in range(0, users, size)]
        with self._libraries.limit(limits=1, user_api="blas"):  # a thread of ours has a core for itself
            if self._threads == 1:
                for block in blocks:
                    work(block)
            else:
                with ThreadPoolExecutor(self._threads) as pool:
                    list(pool.map(work, blocks))

    def _widest_chunk(self, max_bytes: int) -> int:
        """Items whose scores a thread may hold for all users of its block: whole tiles, or the whole catalogue."""
        units = sum(len(bias) for _, bias in self._hidden)
        units += 2 * len(self._weights["first_bias"]) if self._has_mlp else 0
        units += self._weights["item_gmf"].shape[1] if self._has_gmf else 0
        of_tile = 4 * units * (self._tile_items + 2 * self._block_users)
        of_item = 4 * self._block_users + BYTES_A_SCORE
        left = max_bytes // self._threads - of_tile
        # of so many scores, or of all users' of a narrow chunk, the best are picked at a time
        room = max((left - BYTES_A_SCORE * TOGETHER) // of_item, left // (of_item + BYTES_A_SCORE * self._block_users))
        if room < self._tile_items:
            picked = min(TOGETHER, self._block_users * self._tile_items)
            needed = self._threads * (of_tile + of_item * self._tile_items + BYTES_A_SCORE * picked)
            raise ValueError(
                f"max_bytes is {max_bytes:,}, expected {needed:,} or more for {self._threads} threads with "
                f"{self._block_users} users and {self._tile_items} items in hand: lower one of these, or raise it"
            )
        return min(self.n_items, room // self._tile_items * self._tile_items)


def _hidden_layers(weights: Mapping[str, Floats]) -> list[tuple[Floats, Floats]]:
    """Kernel and bias of each hidden layer but the first, which is split between users and items."""
    layers: list[tuple[Floats, Floats]] = []
    while (kernel := weights.get(f"hidden_kernel_{len(layers) + 2}")) is not None:
        layers.append((kernel, weights[f"hidden_bias_{len(layers) + 2}"]))
    return layers


def _count(vectors: Halves) -> int:
    """Rows of the half or halves that are there."""
    for half in vectors:
        if half is not None:
            return len(half)
    raise ValueError("there are no user vectors: the weights have no user tables, so give vectors to top_n_of")


def _take(vectors: Halves, rows: Any) -> Halves:
    return Halves(*(None if half is None else np.asarray(half[rows], dtype=np.float32) for half in vectors))
