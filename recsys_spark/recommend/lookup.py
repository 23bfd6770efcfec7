"""One user's list, from a notebook or a script: the published one, else the model's, else what is popular. No Spark."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recsys_spark import columns as c
from recsys_spark.errors import MissingTableError, UserError
from recsys_spark.feed.petastorm import as_url
from recsys_spark.recommend.reasons import MODEL, POPULAR, REPEAT, words

if TYPE_CHECKING:
    import pandas as pd

ROOT_VARIABLE: Final = "RECSYS_ROOT"
DEMO_ROOT: Final = ".data/demo"


_PUBLISHED: Final = [c.RANK, c.ITEM_ID, c.SCORE, c.REASON_CODE, c.REASON_ITEM_ID]


def recommend_items(
    user_id: int | str, top_n: int = 10, root: str | None = None, variant: str = "default"
) -> pd.DataFrame:
    """The best `top_n` items of a user: `rank, item_id, title, score, reason_code, reason`.

    The published list answers where it has enough rows; a longer list is made by the model it names. A user whom neither
    knows gets the list of what is popular, and its `reason` says so. Where the published lists were filtered, no other list
    is made, for it would not be: the published one may then be shorter than asked for.

    Args:
        root: where the tables lie, as a path; by default the environment's RECSYS_ROOT, else that of `make demo`.
        variant: which of the published variants to read.

    Raises:
        UserError: `top_n` is not positive, or nothing has been published under the root, or not this variant, or nothing for
            this user where lists are filtered.

    Example:
        >>> recommend_items(user_id=123, top_n=10)  # doctest: +SKIP
    """
    if top_n < 1:
        raise UserError(f"top_n is {top_n}, expected 1 or more")
    root = root or os.environ.get(ROOT_VARIABLE) or DEMO_ROOT
    rows = _published(root, str(user_id), top_n, variant)
    if len(rows) < top_n and not _is_filtered(root, variant):
        rows = _made_now(root, str(user_id), top_n, variant)
    elif rows.empty:
        raise UserError(
            f"no list is published for user {user_id!r}, and none can be made here: the lists under {root} are filtered"
        )
    rows = rows.merge(_titles(root, rows[c.ITEM_ID]), on=c.ITEM_ID, how="left")
    rows["reason"] = _reasons(root, rows)
    ordered = [c.RANK, c.ITEM_ID, c.TITLE, c.SCORE, c.REASON_CODE, "reason"]
    return rows[ordered].reset_index(drop=True)


def _published(root: str, user_id: str, top_n: int, variant: str) -> pd.DataFrame:
    if not exists(root, "recommendations_current"):
        raise MissingTableError(f"nothing is published under {root}: run jobs/pipeline.py, or jobs/recommend.py, first")
    is_user = (field(c.USER_ID) == user_id) & (field(c.VARIANT) == variant)
    rows = read(root, "recommendations_current", is_user, _PUBLISHED)
    return rows[rows[c.RANK] <= top_n].sort_values(c.RANK)


def _made_now(root: str, user_id: str, top_n: int, variant: str) -> pd.DataFrame:
    """A list that is not published: by the model for a user it knows, else of what is popular."""
    import numpy as np
    import pandas as pd

    current = read(root, "recommendations_current", field(c.VARIANT) == variant, [c.MODEL_VERSION])
    if current.empty:
        raise UserError(
            f"no variant {variant!r} is published under {root}: see recommendations_current for those that are"
        )
    model = read(root, "models", field(c.MODEL_VERSION) == current[c.MODEL_VERSION].iloc[0]).iloc[-1]
    as_of = model[c.AS_OF_DATE]
    features = read(root, "item_features", None, [c.ITEM_IDX, c.USERS], as_of_date=as_of, fit="production")
    popular = features.sort_values([c.USERS, c.ITEM_IDX], ascending=[False, True])
    known = read(root, "users", field(c.USER_ID) == user_id, [c.USER_IDX])
    items = pd.DataFrame({c.ITEM_IDX: popular[c.ITEM_IDX], c.SCORE: popular[c.USERS] / popular[c.USERS].max()})
    items[c.REASON_CODE] = POPULAR
    if len(known):
        items = _by_model(str(model["path"]), int(known[c.USER_IDX].iloc[0]), root, variant, as_of, items)
    best = items.head(top_n).assign(**{c.RANK: np.arange(1, min(top_n, len(items)) + 1)})
    ids = read(root, "items", field(c.ITEM_IDX).isin(best[c.ITEM_IDX].tolist()), [c.ITEM_ID, c.ITEM_IDX])
    return best.merge(ids, on=c.ITEM_IDX, how="inner").sort_values(c.RANK)


def _by_model(path: str, user_idx: int, root: str, variant: str, as_of: Any, popular: pd.DataFrame) -> pd.DataFrame:
    """All items as the model ranks them for one user, without those that the published lists would leave out."""
    import numpy as np

    from recsys_spark.models.users import Users, history_of
    from recsys_spark.recommend.scorer import load_scorer

    scorer = load_scorer(path)
    latest = _latest(root, as_of, user_idx, scorer.n_items) if scorer.history else []
    user = Users(np.array([user_idx], dtype=np.int32), history_of(latest, scorer.history))
    if not scorer.knows(user)[0]:
        return popular
    scores = scorer.all_scores(user)[0]
    known = popular[popular[c.ITEM_IDX] < scorer.n_items]
    scored = known.assign(**{c.SCORE: scores[known[c.ITEM_IDX].to_numpy()], c.REASON_CODE: MODEL})
    pairs = read(root, "interactions", field(c.USER_IDX) == user_idx, [c.ITEM_IDX, c.POSITIVES], as_of_date=as_of)
    had = pairs[pairs[c.POSITIVES] > 0] if _made_by(root, variant)[0]["interactions"]["positive_types"] else pairs
    seen = scored[c.ITEM_IDX].isin(had[c.ITEM_IDX])
    if _excludes_seen(root, variant):
        scored = scored[~seen]
    else:
        scored.loc[seen, c.REASON_CODE] = REPEAT
    return scored.sort_values([c.SCORE, c.ITEM_IDX], ascending=[False, True])


def _latest(root: str, as_of: Any, user_idx: int, n_items: int) -> list[int]:
    """The user's latest items, oldest first, without those that are newer than the model."""
    of_user = read(root, "sequences", field(c.USER_IDX) == user_idx, [c.ITEMS], as_of_date=as_of, fit="production")
    return [] if of_user.empty else [item for item in of_user[c.ITEMS].iloc[0] if item < n_items]


def _excludes_seen(root: str, variant: str) -> bool:
    """Whether the run that made the published lists left out what users had."""
    return bool(_made_by(root, variant)[0]["recommend"]["exclude_seen"])


def _is_filtered(root: str, variant: str) -> bool:
    """Whether that run left out items for other reasons than that users had them."""
    if not exists(root, "runs"):
        return False
    config, read = _made_by(root, variant)
    by_tables = {"item_availability", "blocked_pairs"} & {name for name, _ in read}
    return bool(by_tables) or any(config["recommend"].get("filters", {}).values())


def _made_by(root: str, variant: str) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """The configuration, and the versions read, of the run that made the published lists, as in `runs`."""
    import yaml

    published = read(root, "recommendations_current", field(c.VARIANT) == variant, [c.RUN_ID])
    run_ids = published[c.RUN_ID].dropna().head(1).tolist()
    if not run_ids:
        return {"recommend": {"exclude_seen": True}, "interactions": {"positive_types": []}}, []
    runs = read(root, "runs", field(c.RUN_ID) == run_ids[0], ["config", "versions_read"])
    return yaml.safe_load(runs["config"].iloc[0]), list(runs["versions_read"].iloc[0])


def _reasons(root: str, rows: pd.DataFrame) -> list[str]:
    """Each row's reason in words, with the title of the item it speaks of, or its id."""
    if c.REASON_ITEM_ID not in rows:
        return [words(code) for code in rows[c.REASON_CODE]]
    told = rows[c.REASON_ITEM_ID].dropna()
    known = _titles(root, told.drop_duplicates()).dropna() if len(told) else rows.head(0)
    titles = dict(zip(known[c.ITEM_ID], known[c.TITLE], strict=True))
    pairs = zip(rows[c.REASON_CODE], rows[c.REASON_ITEM_ID], strict=True)
    return [words(code, titles.get(item, item)) for code, item in pairs]


def _titles(root: str, item_ids: pd.Series[str]) -> pd.DataFrame:
    import pandas as pd

    if not exists(root, "item_attributes"):
        return pd.DataFrame({c.ITEM_ID: item_ids, c.TITLE: None})
    return read(root, "item_attributes", field(c.ITEM_ID).isin(item_ids.tolist()), [c.ITEM_ID, c.TITLE])


def exists(root: str, name: str) -> bool:
    """Whether there is such a table under the root."""
    from deltalake import DeltaTable

    return bool(DeltaTable.is_deltatable(_path(root, name)))


def read(root: str, name: str, where: Any = None, columns: list[str] | None = None, **slice_of: Any) -> pd.DataFrame:
    """Rows of the newest version, or of one slice of it: `slice_of` is by partition columns, `where` by the others."""
    import pyarrow.dataset as ds
    from deltalake import DeltaTable
    from pyarrow import fs

    log = DeltaTable(_path(root, name))
    files = log.file_uris([(column, "=", str(value)) for column, value in slice_of.items()] or None)
    if not files:
        raise MissingTableError(f"table `{name}` under {root} has no rows for {slice_of}: run jobs/pipeline.py again")
    filesystem, _ = fs.FileSystem.from_uri(as_url(files[0]))
    paths = [fs.FileSystem.from_uri(as_url(file))[1] for file in files]
    frame: pd.DataFrame = ds.dataset(paths, filesystem=filesystem).to_table(filter=where, columns=columns).to_pandas()
    return frame


def field(name: str) -> Any:
    """A column, for the conditions that `read` takes."""
    import pyarrow.dataset as ds

    return ds.field(name)


def _path(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}" if "://" in root else str(Path(root) / name)
