"""Users written by hand as Arrow batches, and a model that is a matrix, with the contract of a scorer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

ITEMS = pa.list_(pa.int32())
KINDS = {
    "user_idx": pa.int32(),
    "segment": pa.string(),
    "seen": ITEMS,
    "items": ITEMS,
    "times": pa.list_(pa.int64()),
    "rules": pa.int64(),
    "blocked": ITEMS,
    "candidates": ITEMS,
    "sources": ITEMS,
    "because": ITEMS,
}


def batch_of(**columns: list) -> pa.RecordBatch:
    """Columns by name; users are numbered, without a segment or anything seen, unless they are given."""
    users = len(next(iter(columns.values())))
    given = {"user_idx": list(range(users)), "segment": [None] * users, "seen": [[]] * users} | columns
    return pa.RecordBatch.from_arrays([pa.array(given[name], KINDS[name]) for name in given], list(given))


class Matrix:
    """Scores (n_users, n_items), known to the model; best first, ties to the lower item."""

    history, predicts_ratings = 0, False

    def __init__(self, scores: list[list[float]] | np.ndarray) -> None:
        self._scores = np.array(scores, np.float32)
        self.n_users, self.n_items = self._scores.shape

    def knows(self, users):
        return users.idx < self.n_users

    def scores(self, users, item_idx):
        return self._scores[users.idx[:, None], item_idx]

    def top_n(self, users, n, exclude):
        items = np.full((len(users), n), -1, np.int32)
        best = np.full((len(users), n), -np.inf, np.float32)
        for row, user in enumerate(users.idx):
            barred = set() if exclude is None else set(exclude[1][exclude[0][row] : exclude[0][row + 1]].tolist())
            ranked = sorted(set(range(self.n_items)) - barred, key=lambda item: (-self._scores[user, item], item))[:n]
            items[row, : len(ranked)], best[row, : len(ranked)] = ranked, self._scores[user, ranked]
        return items, best
