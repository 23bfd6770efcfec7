"""What the store keeps of each user beside the list: what they had last, and what the live model is to know of them.

It is read as lists are made: the same tables, filters and context, so that what is answered live is what the batch would say.
"""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any, Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.errors import MissingTableError
from recsys_spark.models.forward import specs_of
from recsys_spark.recommend.eligible import eligible, in_context, with_latest_items
from recsys_spark.recommend.filters import with_filters
from recsys_spark.runs import Run
from recsys_spark.serving.live_model import live_manifest
from recsys_spark.tables import SliceKey
from recsys_spark.transform import Transformer

_SECONDS_A_DAY: Final = 86400
_DAYS: Final = "days"
_HISTORY: Final = "history"


def histories(run: Run, as_of: date, folder: str) -> DataFrame | None:
    """`(user_id, history)` of everyone with events by a date, see `history.history_of`; None where nothing is to be kept.

    Joins by user: O(users + pairs), nothing comes to the driver.

    Args:
        folder: of the live model, if there is one.
    """
    model = live_manifest(folder) if storage.has_folder(folder) else None
    if model is None and not run.config.store.history:
        return None
    dated = dataclasses.replace(run, requested_as_of=as_of)
    dated.tables = run.tables
    try:
        users = _latest(dated) if model is None else _known_to(dated, model)
    except MissingTableError as missing:  # of an old date, whose lists are put back
        run.notes.append(f"no histories are kept beside the lists: {missing}")
        return None
    ids = run.tables.read("users").select(c.USER_ID, c.USER_IDX)
    named = users.transform(_shortened(model, run.config.store.history)).join(ids, on=c.USER_IDX, how="inner")
    kept = [name for name in named.columns if name not in (c.USER_ID, c.USER_IDX)]
    return named.select(c.USER_ID, F.to_json(F.struct(*kept)).alias(_HISTORY))


def _latest(run: Run) -> DataFrame:
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: "production"}
    return run.tables.read_slice("sequences", where).select(c.USER_IDX, c.ITEMS, c.TIMES)


def _known_to(run: Run, model: dict[str, Any]) -> DataFrame:
    """Users as `recommend` reads them."""
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    features = run.tables.read_slice("user_features", {c.AS_OF_DATE: run.as_of, c.FIT: "production"})
    config = run.config
    by_type = config.interactions.counts_by_type
    users = eligible(interactions, features, run.as_of, config.recommend.active_days, by_type)
    users = users.transform(with_latest_items(run, True)).transform(in_context(run, features, model["context"]))
    return users.transform(with_filters(run)).drop(c.SEGMENT).transform(_with_side(run, model))


def _with_side(run: Run, model: dict[str, Any]) -> Transformer:
    """Users -> the same with `codes` and `numbers` as the model was trained on, null for those it does not know."""
    if not specs_of(model["model"]["settings"], "user"):
        return lambda users: users
    where: SliceKey = {c.AS_OF_DATE: date.fromisoformat(model["as_of_date"]), c.FIT: "production"}
    encoded = run.tables.read_slice("user_encoded", where).where(F.col(c.USER_IDX) < model["model"]["n_users"])
    of_users = encoded.select(c.USER_IDX, c.CODES, c.NUMBERS)
    return lambda users: users.join(of_users, on=c.USER_IDX, how="left")


def _shortened(model: dict[str, Any] | None, most: int) -> Transformer:
    """Items and their days, the latest `most`, or as many as the model reads of those that it knows."""
    reads, n_items = (model["scoring"]["history"], model["model"]["n_items"]) if model else (0, 0)
    newer = F.size(F.filter(c.ITEMS, lambda item: item >= n_items))
    kept = F.greatest(F.lit(most), F.lit(reads) + newer) if model else F.lit(most)
    start = F.greatest(F.lit(1), F.size(c.ITEMS) - kept + 1)

    def shorten(users: DataFrame) -> DataFrame:
        days = F.transform(c.TIMES, lambda time: F.floor(time / _SECONDS_A_DAY))
        return users.withColumns({c.ITEMS: F.slice(c.ITEMS, start, kept), _DAYS: F.slice(days, start, kept)}).drop(
            c.TIMES
        )

    return shorten
