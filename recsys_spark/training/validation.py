"""How well a model ranks the held-out items: NDCG@10 and HR@10 over sampled lists, and their loss."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from recsys_spark import ranking
from recsys_spark.feed.validation import PADDING, HeldOut
from recsys_spark.training.distributed import Ranks

WATCHED: Final = "ndcg@10"
_AT = 10
_LISTS_AT_A_TIME = 512


class Validation:
    """A rank's share of the held-out lists, and the model that scores them."""

    def __init__(self, model: Any, held_out: HeldOut, negatives: int) -> None:
        import tensorflow as tf

        self._held_out, self._negatives = held_out, negatives
        shapes = (tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, None), tf.int32))
        self._scores = tf.function(
            lambda users, items: model({"user": users, "items": items}, training=False), input_signature=shapes
        )

    def measure(self, ranks: Ranks) -> dict[str, float]:
        """The means over all ranks' users; the loss is taken as in training, over a target and K candidates."""
        sums = np.zeros(4)
        lists = self._held_out
        for start in range(0, len(lists.users), _LISTS_AT_A_TIME):
            block = slice(start, start + _LISTS_AT_A_TIME)
            sums += self._sums(lists.users[block], lists.items[block], lists.relevant[block])
        ndcg, hits, loss, users = ranks.total(sums).tolist()
        users = max(users, 1.0)
        return {WATCHED: ndcg / users, "hr@10": hits / users, "loss": loss / users}

    def _sums(self, users: Any, items: Any, relevant: Any) -> Any:
        padded = items == PADDING
        logits = self._scores(users, np.where(padded, 0, items)).numpy().astype(np.float64)
        placed = ranking.place(np.where(padded, -np.inf, logits), relevant)
        ndcg, hits = ranking.ndcg(placed, _AT), ranking.hit_rate(placed, _AT)
        return np.array([np.nansum(ndcg), np.nansum(hits), self._loss(logits, relevant, padded).sum(), len(users)])

    def _loss(self, logits: Any, relevant: Any, padded: Any) -> Any:
        """Each user's mean cross-entropy over targets, and over candidates, in the proportion of training."""
        losses = np.logaddexp(0.0, np.where(relevant, -logits, logits))
        of_targets = np.where(relevant, losses, 0.0).sum(axis=1) / np.maximum(relevant.sum(axis=1), 1)
        others = ~relevant & ~padded
        of_others = np.where(others, losses, 0.0).sum(axis=1) / np.maximum(others.sum(axis=1), 1)
        return (of_targets + self._negatives * of_others) / (1 + self._negatives)
