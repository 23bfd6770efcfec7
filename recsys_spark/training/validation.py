"""How well a model ranks the held-out items: NDCG@10 and HR@10, among their candidates or the whole catalogue."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark import ranking
from recsys_spark.errors import TrainingError
from recsys_spark.feed.validation import HeldOut
from recsys_spark.model_settings import PAIRS, RATINGS
from recsys_spark.models.retrieval import Own, add_own
from recsys_spark.ragged import NO_ITEM
from recsys_spark.training.distributed import Ranks
from recsys_spark.training.job import Job

NDCG: Final = "ndcg@10"
RMSE: Final = "rmse"
_AT = 10
_LISTS_AT_A_TIME = 256
_FLOATS_AT_A_TIME = 1 << 26  # 256 MiB

Floats = npt.NDArray[np.float64]


class Validation:
    """A rank's share of the held-out users, and the model that scores for them."""

    def __init__(self, model: Any, held_out: HeldOut, job: Job) -> None:
        import tensorflow as tf

        self._model, self._held_out, self._negatives = model, held_out, job.negatives
        self._full, self._exclude_seen = job.training.validation == "full", job.exclude_seen
        self._ratings = job.kind == RATINGS
        self._title, self._rate = job.title, job.training.learning_rate
        self._with_loss = job.kind == PAIRS and not self._full
        users, items = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, None), tf.int32)
        self._scores = tf.function(
            lambda users, history, context, items: model(
                {"user": users, "history": history, "context": context, "items": items}, training=False
            ),
            input_signature=(users, items, items, items),
        )

        def asked(users: Any, history: Any, context: Any) -> tuple[Any, Any]:
            batch = {"user": users, "history": history, "context": context}
            return model.queries(batch), model.own_items(batch)

        self._asked = tf.function(asked, input_signature=(users, items, items))

    def measure(self, ranks: Ranks) -> dict[str, float]:
        """The means over all ranks' users; the loss, of pairs alone, is as in training, over a target and K candidates.

        Of a model that learns ratings the RMSE over the targets that have one, and nothing else.

        Raises:
            TrainingError: the model's scores are not finite; on every rank, as the sums are over all of them.
        """
        if self._ratings:
            return self._rating_error(ranks)
        sums = np.zeros(4)
        sums_of = self._sums_of_catalogue if self._full else self._sums
        catalogue = np.asarray(self._model.catalogue()) if self._full and self._model.retrieves else None
        for start in range(0, len(self._held_out.users), _LISTS_AT_A_TIME):
            sums += sums_of(slice(start, start + _LISTS_AT_A_TIME), catalogue)
        ndcg, hits, loss, users = self._finite(ranks.total(sums)).tolist()
        users = max(users, 1.0)
        figures = {NDCG: ndcg / users, "hr@10": hits / users}
        return figures | ({"loss": loss / users} if self._with_loss else {})

    def _sums(self, block: slice, catalogue: Any) -> Floats:
        lists = self._held_out
        items, relevant = lists.items[block], lists.relevant[block]
        padded = items == NO_ITEM
        scores = self._scores(*self._readers(block), np.where(padded, 0, items))
        logits = scores.numpy().astype(np.float64)
        if not np.isfinite(logits).all():
            return np.full(4, np.nan)
        placed = ranking.place(np.where(padded, -np.inf, logits), relevant)
        loss = self._loss(logits, relevant, padded).sum() if self._with_loss else 0.0
        return np.array([*_figures(placed), loss, len(items)])

    def _sums_of_catalogue(self, block: slice, catalogue: Any) -> Floats:
        """O(users x items) scores, in blocks; what a user took in the train part is no candidate, where lists leave it out."""
        lists = self._held_out
        (_, history, _), targets = self._readers(block), lists.targets[block]
        if catalogue is not None:
            queries, values = (np.asarray(each) for each in self._asked(*self._readers(block)))
            scores = add_own(queries @ catalogue.T, 0, Own.latest(history, values))
        else:
            scores = self._each_item(block)
        if not np.isfinite(scores).all():
            return np.full(4, np.nan)
        if self._exclude_seen:
            seen = lists.seen[block]
            rows, places = np.nonzero(seen != NO_ITEM)
            scores[rows, seen[rows, places]] = -np.inf
        rows, places = np.nonzero(targets != NO_ITEM)
        placed = ranking.place_targets(scores, rows, targets[rows, places])
        return np.array([*_figures(placed), 0.0, len(targets)])

    def _rating_error(self, ranks: Ranks) -> dict[str, float]:
        lists = self._held_out
        sums = np.zeros(2)
        for start in range(0, len(lists.users), _LISTS_AT_A_TIME):
            block = slice(start, start + _LISTS_AT_A_TIME)
            known = np.maximum(lists.targets[block], 0)
            predicted = np.asarray(self._scores(*self._readers(block), known))
            errors = predicted - lists.values[block]
            squares = np.nansum(errors**2) if np.isfinite(predicted).all() else np.nan
            sums += squares, np.count_nonzero(~np.isnan(errors))
        squares, pairs = self._finite(ranks.total(sums)).tolist()
        return {RMSE: float(np.sqrt(squares / max(pairs, 1.0)))}

    def _finite(self, sums: Floats) -> Floats:
        if not np.isfinite(sums).all():
            raise TrainingError(
                f"{self._title}: the scores on validation are not finite: try a lower training.learning_rate "
                f"(now {self._rate}), or training.clip_norm=1.0"
            )
        return sums

    def _readers(self, block: slice) -> tuple[Any, Any, Any]:
        """Users, histories and contexts of a block."""
        lists = self._held_out
        return lists.users[block], lists.history[block], lists.context[block]

    def _each_item(self, block: slice) -> Any:
        n_items = self._model.n_items
        users, history, context = self._readers(block)
        scores = np.empty((len(users), n_items), dtype=np.float32)
        tile = max(1, _FLOATS_AT_A_TIME // (self._model.pair_floats * len(users)))
        for start in range(0, n_items, tile):
            items = np.arange(start, min(start + tile, n_items), dtype=np.int32)
            scores[:, items] = self._scores(users, history, context, np.broadcast_to(items, (len(users), len(items))))
        return scores

    def _loss(self, logits: Any, relevant: Any, padded: Any) -> Any:
        """Each user's mean cross-entropy over targets, and over candidates, in the proportion of training."""
        losses = np.logaddexp(0.0, np.where(relevant, -logits, logits))
        of_targets = np.where(relevant, losses, 0.0).sum(axis=1) / np.maximum(relevant.sum(axis=1), 1)
        others = ~relevant & ~padded
        of_others = np.where(others, losses, 0.0).sum(axis=1) / np.maximum(others.sum(axis=1), 1)
        return (of_targets + self._negatives * of_others) / (1 + self._negatives)


def _figures(placed: ranking.Placed) -> tuple[float, float]:
    return float(np.nansum(ranking.ndcg(placed, _AT))), float(np.nansum(ranking.hit_rate(placed, _AT)))
