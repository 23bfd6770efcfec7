"""A trained model as MLflow serves it: a batch of user ids in, a list each out. No Spark.

What MLflow loads is the artifact alone: weights know indices, and neither ids nor what somebody did. These are read from the
tables of a root as they are now, by the slices of the date and fit that the model was trained on: where `model_config` says,
else the environment's RECSYS_ROOT. So a version answers for itself, live or not: its lists are computed, never looked up among
the published ones, which `recommend_items` gives. They are what the model scores best over the whole catalogue, less what a
user had before where the configuration left that out; retrieval, filters, re-ranking and contexts of a night do not apply.
Whom the model does not know gets what is popular, and `reasons` says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recsys_spark import columns as c
from recsys_spark.errors import MissingTableError, UserError
from recsys_spark.models.users import Users
from recsys_spark.ragged import padded
from recsys_spark.recommend.lookup import ROOT_VARIABLE, exists, field, read
from recsys_spark.recommend.reasons import MODEL, POPULAR
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.roots import in_catalog
from recsys_spark.storage import load_manifest

if TYPE_CHECKING:
    import pandas as pd

# by fit, the columns of `interactions` that count what the model was trained on; of a production fit all of its rows are
_SEEN: Final = {
    "evaluate": [c.TRAIN_POSITIVES],
    "refit": [c.TRAIN_POSITIVES, c.VALIDATION_POSITIVES],
}
_USERS_AT_A_TIME: Final = 1024

List = tuple[list[str], list[float], list[str]]  # ids, scores and reasons


class ListsOfModel:
    """Lists by one artifact, over the tables of a root."""

    def __init__(self, artifact: str, root: str, exclude_seen: bool) -> None:
        if not root or in_catalog(root):
            raise UserError(
                f"the model's root is {root or 'not known'}, and no path: name one by model_config={{'root': PATH}}, or "
                f"{ROOT_VARIABLE}"
            )
        if not exists(root, "users"):
            raise MissingTableError(
                f"there is no table `users` under {root}, where the model was trained: name the root by "
                f"model_config={{'root': PATH}}, or {ROOT_VARIABLE}"
            )
        manifest = load_manifest(artifact)
        self._root, self._exclude_seen = root, exclude_seen
        self._scorer, self._fit = load_scorer(artifact), str(manifest["fit"])
        self._slice = {c.AS_OF_DATE: manifest["as_of_date"]}

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Column `user_id` -> a row each in the same order: `user_id`, and lists `items` (ids), `scores`, `reasons`, best first.

        Args:
            params: `n`, how long lists are.

        Raises:
            UserError: `n` is not positive.
        """
        import pandas as pd

        n = int((params or {}).get("n", 10))
        if n < 1:
            raise UserError(f"n is {n}, expected 1 or more")
        asked = model_input[c.USER_ID].astype(str)
        unique = asked.drop_duplicates().tolist()
        made: dict[str, List] = {}
        for start in range(0, len(unique), _USERS_AT_A_TIME):
            made |= self._lists(unique[start : start + _USERS_AT_A_TIME], n)
        columns = list(zip(*[made[user] for user in asked], strict=True)) or [(), (), ()]
        return pd.DataFrame(
            {
                c.USER_ID: asked.to_numpy(),
                c.ITEMS: list(columns[0]),
                "scores": list(columns[1]),
                "reasons": list(columns[2]),
            }
        )

    def _lists(self, user_ids: list[str], n: int) -> dict[str, List]:
        found = read(self._root, "users", field(c.USER_ID).isin(user_ids), [c.USER_ID, c.USER_IDX])
        users = self._users(found[c.USER_IDX].to_numpy(np.int32))
        known = self._scorer.knows(users)
        popular, shares = self._popular(n)
        items, scores = np.tile(popular, (len(user_ids), 1)), np.tile(shares, (len(user_ids), 1))
        rows = np.array([user_ids.index(user) for user in found[c.USER_ID]], int)[known]
        if known.any():
            items[rows], scores[rows] = self._scorer.top_n(users[known], n, self._seen(users.idx[known]))
        ids = self._ids(np.unique(items[items >= 0]))
        by_model = set(rows.tolist())
        return {
            user: _list(items[row], scores[row], ids, MODEL if row in by_model else POPULAR)
            for row, user in enumerate(user_ids)
        }

    def _users(self, idx: Any) -> Users:
        """With their latest items, where the model reads those."""
        most = self._scorer.history
        if not most:
            return Users.without_history(idx)
        rows = read(self._root, "sequences", field(c.USER_IDX).isin(idx.tolist()), None, **self._slice, fit=self._fit)
        latest = {
            user: items[items < self._scorer.n_items]
            for user, items in zip(rows[c.USER_IDX], rows[c.ITEMS], strict=True)
        }
        lists = [np.asarray(latest.get(user, ()), np.int32) for user in idx.tolist()]
        lengths = np.array([len(items) for items in lists], int)
        return Users(idx, padded(lengths, np.concatenate([*lists, np.empty(0, np.int32)]), most, in_front=True))

    def _seen(self, idx: Any) -> tuple[Any, Any] | None:
        """What users had by the cut of the fit, row by row, as `(indptr, items)`."""
        if not self._exclude_seen:
            return None
        counted = _SEEN.get(self._fit, [])
        wanted = [c.USER_IDX, c.ITEM_IDX, *counted]
        rows = read(self._root, "interactions", field(c.USER_IDX).isin(idx.tolist()), wanted, **self._slice)
        rows = rows[(rows[counted] > 0).any(axis=1)] if counted else rows
        places = {user: place for place, user in enumerate(idx.tolist())}
        of_row = rows[c.USER_IDX].map(places).to_numpy(int)
        lengths = np.bincount(of_row, minlength=len(idx))
        items = rows[c.ITEM_IDX].to_numpy(np.int32)[np.argsort(of_row, kind="stable")]
        return np.concatenate(([0], np.cumsum(lengths))), items

    def _popular(self, n: int) -> tuple[Any, Any]:
        """The n items that most users took in the fit, and by what share of the most popular one's."""
        rows = read(self._root, "item_features", None, [c.ITEM_IDX, c.USERS], **self._slice, fit=self._fit)
        best = rows.sort_values([c.USERS, c.ITEM_IDX], ascending=[False, True]).head(n)
        items, scores = np.full(n, -1, np.int32), np.full(n, -np.inf)
        items[: len(best)], scores[: len(best)] = best[c.ITEM_IDX], best[c.USERS] / max(1, best[c.USERS].max())
        return items, scores

    def _ids(self, items: Any) -> dict[int, str]:
        rows = read(self._root, "items", field(c.ITEM_IDX).isin(items.tolist()), [c.ITEM_IDX, c.ITEM_ID])
        return dict(zip(rows[c.ITEM_IDX], rows[c.ITEM_ID], strict=True))


def _list(items: Any, scores: Any, ids: Mapping[int, str], reason: str) -> List:
    """Without the places that nothing could fill."""
    filled = items >= 0
    return [ids[item] for item in items[filled].tolist()], scores[filled].tolist(), [reason] * int(filled.sum())


def _load_pyfunc(data_path: str, model_config: Mapping[str, Any] | None = None) -> ListsOfModel:
    """What MLflow calls, by this module's name, with the artifact's folder."""
    config = dict(model_config or {})
    recorded = str(config.get("root", ""))
    root = recorded if recorded and exists(recorded, "users") else os.environ.get(ROOT_VARIABLE) or recorded
    return ListsOfModel(data_path, root, bool(config.get("exclude_seen", True)))
