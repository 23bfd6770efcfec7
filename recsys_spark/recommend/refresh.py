"""Lists of users for whom nothing changed since an earlier night: kept as they are, rather than made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any, Final

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.interactions.carry import EarlierRun, acted, by_own_events, came_since, earlier_run
from recsys_spark.interactions.split import end_of
from recsys_spark.nights import models_of
from recsys_spark.recommend.barring import FOR_EVERYONE, Catalogue
from recsys_spark.recommend.item_facts import POPULARITY
from recsys_spark.recommend.publish import is_fallback, live_lists
from recsys_spark.recommend.reasons import CO_OCCURRENCE, NEW_ITEMS, RECENT_POPULAR, RETRIEVER
from recsys_spark.recommend.rerank import steps_of
from recsys_spark.runs import Run
from recsys_spark.schemas import BLOCKED_PAIRS, ITEM_ATTRIBUTES, ITEM_AVAILABILITY, MODELS, RECOMMENDATIONS
from recsys_spark.settings import Config
from recsys_spark.storage import load_manifest
from recsys_spark.tables import SliceKey

_MEANING: Final = ("dataset", "interactions", "recommend")
_OF_EVERYONE: Final = {
    CO_OCCURRENCE: "counts what everyone took together",
    RECENT_POPULAR: "goes by what everyone took lately",
    NEW_ITEMS: "goes by the items that came lately",
}


@dataclass(frozen=True)
class Kept:
    """Rows of `recommendations` that stay, as rows of the run's date, and `user_idx` of whose they are."""

    rows: DataFrame
    users: DataFrame


def kept_lists(
    run: Run, where: SliceKey, model: Mapping[str, Any], path: str, retriever: str, known: Catalogue
) -> Kept | None:
    """What stays of the last lists of the same model and settings, with `night.refresh: changed`; None: make all anew.

    A list stays if its user has not acted since, it is full, and nothing in it is fallback. All are made where they hang on
    more than the user's own events, the models, and tables that are as they were; a note says on what. O(rows), and the
    earlier date's pairs once.

    Args:
        path: where the model lies that scores, `retriever` where the one does that retrieves, if any.
        known: what the catalogue bars by the run's date.
    """
    if run.config.night.refresh == "all":
        return None
    why = [*_of_models(model, path, retriever), *hangs_on(run.config)]
    earlier = None if why else earlier_run(run, RECOMMENDATIONS.name, *_MEANING, where={c.VARIANT: where[c.VARIANT]})
    if earlier is not None and not _is_live(run, earlier.as_of):
        return None  # what a gate stopped, or what was put back by hand, is not to come again
    if earlier is not None:
        why += islice(_changed(run, earlier, known, int(load_manifest(path)["model"]["n_items"])), 1)
    if why:
        run.notes.append(f"lists of all users are made, though night.refresh is `changed`: {why[0]}")
    return None if why or earlier is None else _kept(run, where, earlier, str(model[c.MODEL_VERSION]))


def hangs_on(config: Config) -> Iterator[str]:
    """What the lists of these settings hang on that changes from day to day whatever the user does; nothing: on none of it."""
    recommend = config.recommend
    rerank = recommend.rerank
    steps = steps_of(rerank)
    if not by_own_events(config):
        yield "the split or a least number of events goes by everyone's events"
    if recommend.active_days:
        yield "recommend.active_days goes by the date"
    for source, what in _OF_EVERYONE.items():
        if source in recommend.candidates.sources:
            yield f"source {source} {what}"
    if recommend.filters.rules:
        yield "recommend.filters.rules may speak of the day"
    if "freshness" in steps:
        yield "recommend.rerank.freshness goes by the items' ages"
    if "exploration" in steps:
        yield "recommend.rerank.exploration draws anew each day"
    if "exposure" in steps and rerank.exposure.group == POPULARITY:
        yield "recommend.rerank.exposure goes by the items' popularity"


def tables_read(config: Config) -> tuple[str, ...]:
    """The tables beside the user's own that lists of these settings are made from, if they are there."""
    recommend = config.recommend
    rerank = recommend.rerank
    steps = steps_of(rerank)
    described = bool(recommend.filters.blocked_categories) or bool({"category_cap", "exposure"} & set(steps))
    described |= "diversity" in steps and rerank.diversity.by == "category"
    read = {
        MODELS.name: RETRIEVER in recommend.candidates.sources,  # which model retrieves; that which scores is looked at
        ITEM_ATTRIBUTES.name: described,
        ITEM_AVAILABILITY.name: True,
        BLOCKED_PAIRS.name: True,
    }
    return tuple(name for name, is_read in read.items() if is_read)


def _of_models(model: Mapping[str, Any], path: str, retriever: str) -> Iterator[str]:
    if path != model["path"]:
        yield "users and items newer than the model are scored by their features"
    if any(load_manifest(location).get("context") for location in (path, retriever) if location):
        yield "scores hang on the context, which has the date"


def _changed(run: Run, earlier: EarlierRun, known: Catalogue, n_items: int) -> Iterator[str]:
    """What changed since the earlier run of that on which anyone's list hangs."""
    for name in tables_read(run.config):
        now = run.tables.pin(name) if run.tables.exists(name) else None
        if now != earlier.versions_read.get(name):
            yield f"table {name} changed since {earlier.as_of}"
    config = run.config.recommend.candidates
    if RETRIEVER in config.sources and models_of(run, "production", config.retriever)[0][c.AS_OF_DATE] > earlier.as_of:
        yield f"a model of after {earlier.as_of} retrieves"
    if run.tables.exists(ITEM_AVAILABILITY.name):
        first, last = (F.lit(end_of(day)) for day in (earlier.as_of, run.as_of))
        spans = run.tables.read(ITEM_AVAILABILITY.name)
        turned = [(F.col(name) > first) & (F.col(name) <= last) for name in (c.AVAILABLE_FROM, c.AVAILABLE_TO)]
        if not spans.where(turned[0] | turned[1]).isEmpty():
            yield f"spans of table {ITEM_AVAILABILITY.name} begin or end after {earlier.as_of}"
    before = run.tables.read("interactions", {c.AS_OF_DATE: earlier.as_of}).where(F.col(c.ITEM_IDX) < n_items)
    taken = before.select(c.ITEM_IDX).distinct().persist()
    limit = run.config.run.driver_bytes
    had_events = np.zeros(n_items, np.bool_)
    had_events[collect_columns(taken, [c.ITEM_IDX], "items with an event", limit)[c.ITEM_IDX]] = True
    taken.unpersist()
    if (had_events != (known.barred[:n_items] & FOR_EVERYONE["without_event"] == 0)).any():
        yield f"items of the model had their first event after {earlier.as_of}"


def _kept(run: Run, where: SliceKey, earlier: EarlierRun, model_version: str) -> Kept:
    last = run.tables.read(RECOMMENDATIONS.name, {**where, c.AS_OF_DATE: earlier.as_of})
    users = run.tables.read("users").select(c.USER_ID, c.USER_IDX)
    of_others = F.count_if(is_fallback() | (F.col(c.MODEL_VERSION) != model_version))
    # a short list may have room for more by now
    own = (F.col("of_others") == 0) & (F.col("rows") == run.config.recommend.n)
    lists = last.groupBy(c.USER_ID).agg(of_others.alias("of_others"), F.count("*").alias("rows")).where(own)
    known = lists.select(c.USER_ID).join(users, on=c.USER_ID, how="inner")
    still = known.join(acted(run, came_since(run, earlier)), on=c.USER_IDX, how="left_anti").persist()
    rows = last.join(still.select(c.USER_ID), on=c.USER_ID, how="left_semi").withColumn(c.AS_OF_DATE, F.lit(run.as_of))
    run.notes.append(f"lists of users who did not act since {earlier.as_of} are those of that night")
    return Kept(rows, still.select(c.USER_IDX))


def _is_live(run: Run, as_of: date) -> bool:
    first = live_lists(run).select(c.AS_OF_DATE).head()
    return first is not None and first[0] == as_of
