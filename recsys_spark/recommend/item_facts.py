"""What re-ranking needs of the items: age, category, group and vector, item-sized, through the bounded door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns, collect_rows
from recsys_spark.errors import UserError
from recsys_spark.interactions.index import next_index
from recsys_spark.ranking import Bools, Floats
from recsys_spark.recommend.rerank import ItemFacts
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_ATTRIBUTES
from recsys_spark.storage import load_arrays, load_manifest

POPULARITY: Final = "popularity"
HEAD, TAIL = "head", "tail"

_VECTORS: Final = ("catalogue", "item_gmf", "item_mlp")  # arrays of an artifact, the best first
_SECONDS_A_DAY: Final = 86400.0
_VALUE, _CODE = "_value", "_code"


def facts_of_items(run: Run, as_of: date, fit: str) -> ItemFacts:
    """Every item of the index as a fit of the date knows it; vectors are a worker's to add, see `item_vectors`.

    Age is the time from the item's first positive event to the end of the date, or for a fit that is to be measured to its
    newest event; without one it is unknown. The category is the first that `item_attributes.category` names; the group is
    by `recommend.rerank.exposure.group`. O(items) on the driver, bounded by `run.driver_bytes`.

    Raises:
        UserError: a table or its slice is missing, or the items do not fit.
    """
    features = run.tables.read_slice("item_features", {c.AS_OF_DATE: as_of, c.FIT: fit})
    items = run.tables.read("items").select(c.ITEM_ID, c.ITEM_IDX)
    n_items = next_index(items, c.ITEM_IDX)
    described = items.join(run.tables.read_or_empty(ITEM_ATTRIBUTES), on=c.ITEM_ID, how="inner")
    category, _ = _codes(run, described, F.substring_index(c.CATEGORY, "|", 1), n_items, "categories of the items")
    by = run.config.recommend.rerank.exposure.group
    group, names = np.full(n_items, -1, np.int32), tuple[str, ...]()
    if by == POPULARITY:
        group, names = _by_popularity(run, features, n_items), (HEAD, TAIL)
    elif by:
        group, names = _codes(run, described, _attribute(by), n_items, f"{by} of the items")
    return ItemFacts(_ages(run, features, as_of, fit, n_items), category, group, names)


def _ages(run: Run, features: DataFrame, as_of: date, fit: str, n_items: int) -> npt.NDArray[np.float32]:
    now = datetime.combine(as_of + timedelta(days=1), datetime.min.time(), UTC).timestamp()
    if fit != "production":
        newest = features.agg(F.max(F.col(c.LAST_TIME).cast("double"))).head()
        now = float(newest[0]) if newest is not None else now
    seconds = features.select(c.ITEM_IDX, F.col(c.FIRST_TIME).cast("double").alias(_VALUE))
    first = collect_columns(seconds, [c.ITEM_IDX, _VALUE], "first times of the items", run.config.run.driver_bytes)
    ages = np.full(n_items, np.nan, np.float32)
    ages[first[c.ITEM_IDX]] = np.maximum(now - first[_VALUE], 0.0) / _SECONDS_A_DAY
    return ages


def _codes(
    run: Run, described: DataFrame, value: Column, n_items: int, what: str
) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Each item's value as a code, -1 for none, and the values by code, sorted."""
    limit, codes = run.config.run.driver_bytes, np.full(n_items, -1, np.int32)
    valued = described.select(c.ITEM_IDX, value.alias(_VALUE)).where(F.length(_VALUE) > 0)
    names = tuple(sorted(row[_VALUE] for row in collect_rows(valued.select(_VALUE).distinct(), what, limit)))
    if names:
        of_name = run.spark.createDataFrame(list(enumerate(names)), f"{_CODE} int, {_VALUE} string")
        coded = valued.join(F.broadcast(of_name), on=_VALUE, how="inner")
        came = collect_columns(coded, [c.ITEM_IDX, _CODE], what, limit)
        codes[came[c.ITEM_IDX]] = came[_CODE]
    return codes, names


def _attribute(name: str) -> Column:
    """An item's attribute as text: one that has a column, else a key of `attributes`."""
    if name == c.CATEGORY:
        return F.substring_index(c.CATEGORY, "|", 1)
    return F.col(name).cast("string") if name in (c.BRAND, c.YEAR) else F.col(c.ATTRIBUTES)[name]


def _by_popularity(run: Run, features: DataFrame, n_items: int) -> npt.NDArray[np.int32]:
    """0 for the head, 1 for the tail, which has those that nobody took."""
    taken = collect_columns(features, [c.ITEM_IDX, c.USERS], "popularity of the items", run.config.run.driver_bytes)
    users_of_item = np.zeros(n_items)
    users_of_item[taken[c.ITEM_IDX]] = taken[c.USERS]
    return np.where(in_head(users_of_item, run.config.evaluate.head_share), 0, 1).astype(np.int32)


def in_head(users_of_item: Floats, share: float) -> Bools:
    """The most popular `share` of the items that anyone took; of equals the lower index is first.

    >>> in_head(np.array([5.0, 0.0, 9.0, 5.0, 1.0]), 0.5)
    array([ True, False,  True, False, False])
    """
    most_popular = np.argsort(-users_of_item, kind="stable")[: ceil(share * np.count_nonzero(users_of_item))]
    head = np.zeros(len(users_of_item), bool)
    head[most_popular] = True
    return head


def hold_vectors(manifest: Mapping[str, Any]) -> None:
    """Refuse diversity by the vectors of an artifact that has none.

    Raises:
        UserError: the model keeps no vector an item.
    """
    if _array_of(manifest["arrays"]) is None:
        raise UserError(
            f"recommend.rerank.diversity.by is `vectors`, and model {manifest['model_version']} keeps no vector an item: set "
            "recommend.rerank.diversity.by=category"
        )


def with_vectors(facts: ItemFacts, location: str) -> ItemFacts:
    """The facts with the vectors of the model at a location, where it has some: in a worker, so that they are not sent."""
    return replace(facts, vectors=item_vectors(location))


@lru_cache(maxsize=2)
def item_vectors(location: str) -> npt.NDArray[np.float32] | None:
    """An artifact's item vectors, divided by their lengths: (n_items, d), once a Python process; None where it has none.

    Of a model that retrieves those of its catalogue, of NeuMF those of its GMF half, which a dot product compares, or else
    those of its MLP half. A vector of zeros stays one.
    """
    mapped = mapped_vectors(location)
    if mapped is None:
        return None
    vectors = np.asarray(mapped, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = vectors / np.where(lengths > 0.0, lengths, 1.0).astype(np.float32)
    return unit


def mapped_vectors(location: str) -> npt.NDArray[Any] | None:
    """The same as they were trained, mapped into memory: (n_items, d), of which the rows that are used are read."""
    name = _array_of(load_manifest(location)["arrays"])
    return None if name is None else load_arrays(location)[name]


def _array_of(arrays: Mapping[str, str]) -> str | None:
    """The name of the array that holds item vectors, out of a manifest's."""
    by_end = {name.rpartition("/")[2]: name for name in arrays.values()}
    return next((by_end[end] for end in _VECTORS if end in by_end), None)
