"""Item vectors of a bounded sample: what lies near what, and the plane that they are laid out on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import check, collect_rows
from recsys_spark.errors import UserError
from recsys_spark.explore.entries import UNKNOWN, Entry, entries
from recsys_spark.plane import components
from recsys_spark.recommend.item_facts import unit_vectors
from recsys_spark.report.chosen import Chosen
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_ATTRIBUTES

NEIGHBOURS: Final = "neighbours"
PLANE: Final = "plane"
PCA, UMAP = "PCA", "UMAP"
_LEAST_ITEMS: Final = 5  # fewer make no plane
_UMAP_NEIGHBOURS: Final = 15

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Item:
    """An item as the report shows it; `users` took it in the fit."""

    idx: int
    item_id: str
    title: str
    category: str
    users: int


@dataclass(frozen=True)
class Space:
    """Items and their vectors divided by their lengths, (S, d); `asked`: places of those whose neighbours are shown."""

    items: Sequence[Item]
    vectors: Floats
    asked: Sequence[int]


def space_of(run: Run, chosen: Chosen, vectors: npt.NDArray[Any]) -> Space:
    """The `report.plane_items` most popular items that `training.folding_users` users took in the fit, and those asked for.

    O(items) in Spark; the driver reads the rows of the sample alone.

    Args:
        vectors: of all items, (n_items, d), which may be mapped into memory.

    Raises:
        UserError: `report.items` names an item that is not in the index, or the sample is over `run.driver_bytes`.
    """
    config, limit = run.config.report, run.config.run.driver_bytes
    index = described_items(run, chosen.fit).where(F.col(c.ITEM_IDX) < len(vectors))
    by_popularity = (F.desc(c.USERS), F.col(c.ITEM_IDX))
    frequent = index.where(F.col(c.USERS) >= run.config.training.folding_users)
    popular = _items(frequent.orderBy(*by_popularity).limit(config.plane_items), limit)
    wanted = (
        _items(index.where(F.col(c.ITEM_ID).isin(config.items)), limit) if config.items else popular[: config.shown]
    )
    _hold_known(config.items, wanted, chosen.version)
    items = list(dict.fromkeys([*popular, *wanted]))
    check(len(items), 4 * vectors.shape[1], "vectors of the items on the plane", limit)
    rows = vectors[[item.idx for item in items]]
    order = {item_id: place for place, item_id in enumerate(config.items)}
    wanted.sort(key=lambda item: order.get(item.item_id, 0))
    return Space(items, unit_vectors(rows), [items.index(item) for item in wanted])


def neighbours(space: Space, most: int) -> list[Entry]:
    """The nearest others of each item asked for by cosine, the nearest first: `similarity` by id, a series an item."""
    found: list[Entry] = []
    for place in space.asked:
        likeness = space.vectors @ space.vectors[place]
        likeness[place] = -np.inf
        nearest = np.argsort(-likeness, kind="stable")[: min(most, len(likeness) - 1)]
        rows = {space.items[other].item_id: {"similarity": float(likeness[other])} for other in nearest}
        found += entries(NEIGHBOURS, space.items[place].item_id, rows)
    return found


def planes(space: Space, seed: int) -> dict[str, npt.NDArray[np.float64]]:
    """The vectors laid out on the plane, (S, 2) by method; none for fewer items than make a plane, or of one dimension.

    PCA keeps what differs most; UMAP keeps neighbours together, by cosine, and distances between groups mean little (McInnes,
    Healy and Melville, 2018, "UMAP: uniform manifold approximation and projection").
    """
    if len(space.items) < _LEAST_ITEMS or space.vectors.shape[1] < 2:
        return {}
    return {PCA: components(space.vectors)[0], UMAP: _umap(space.vectors, seed)}


def plane_entries(space: Space, laid_out: dict[str, npt.NDArray[np.float64]]) -> list[Entry]:
    """Both coordinates of each item by its id, a series a method."""
    return [
        entry
        for method, points in laid_out.items()
        for entry in entries(
            PLANE,
            method,
            {item.item_id: {"x": float(x), "y": float(y)} for item, (x, y) in zip(space.items, points, strict=True)},
        )
    ]


def _umap(vectors: Floats, seed: int) -> npt.NDArray[np.float64]:
    """By one thread, so that the same vectors have the same places."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba, and that a seed means one thread
        umap = _library()
        method = umap.UMAP(
            n_neighbors=min(_UMAP_NEIGHBOURS, len(vectors) - 1),
            metric="cosine",
            init="pca",
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(method.fit_transform(vectors), np.float64)


def _library() -> Any:
    try:
        import umap
    except ImportError:
        raise UserError(
            "the library umap is not installed here, which lays items out on the plane: install recsys-spark[report] for the "
            "driver"
        ) from None
    return umap


def described_items(run: Run, fit: str) -> DataFrame:
    """`item_idx, item_id, title, category, users`, every item of the index; `users` took it in the fit."""
    features = run.tables.read_slice("item_features", {c.AS_OF_DATE: run.as_of, c.FIT: fit})
    attributes = run.tables.read_or_empty(ITEM_ATTRIBUTES).select(c.ITEM_ID, c.TITLE, c.CATEGORY)
    index = run.tables.read("items").select(c.ITEM_ID, c.ITEM_IDX)
    taken = index.join(features.select(c.ITEM_IDX, c.USERS), on=c.ITEM_IDX, how="left")
    return taken.join(attributes, on=c.ITEM_ID, how="left").fillna(0, [c.USERS])


def _items(frame: DataFrame, limit: int) -> list[Item]:
    rows = collect_rows(frame, "the items on the plane", limit)
    return [
        Item(
            row[c.ITEM_IDX],
            row[c.ITEM_ID],
            " ".join((row[c.TITLE] or row[c.ITEM_ID]).split()),
            (row[c.CATEGORY] or "").partition("|")[0].strip() or UNKNOWN,
            row[c.USERS],
        )
        for row in rows
    ]


def _hold_known(asked: Sequence[str], found: Sequence[Item], version: str) -> None:
    lacking = sorted(set(asked) - {item.item_id for item in found})
    if lacking:
        raise UserError(
            f"report.items names {', '.join(lacking)}, which model {version} does not know: expected ids of table `items`, as "
            "they were when it was trained"
        )
