"""What is written down beside a night's lists, so that the service can tell it without Spark: JSON, item-sized at most.

`health` has the gates that the lists passed and how good the model was measured to be; `map` the items on a plane.
No sheet holds a user.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_rows
from recsys_spark.plane import on_plane
from recsys_spark.recommend.item_facts import kept_vectors, unit_vectors
from recsys_spark.runs import Run
from recsys_spark.schemas import GATE_RESULTS, ITEM_ATTRIBUTES, METRICS, MODELS
from recsys_spark.serving.sheet_names import HEALTH, MAP
from recsys_spark.tables import SliceKey

SHEETS: Final = (HEALTH, MAP)

_MOST_ON_MAP: Final = 5000
_TEST: Final = "test"
_ROLLBACK: Final = "rollback"
_BASELINES: Final = ("popularity", "random")
_GATE: Final = (c.GATE, c.VALUE, c.LOW, c.HIGH, c.VERDICT, c.REASON)
_FIGURE: Final = (c.MODEL_NAME, c.PROTOCOL, c.SPLIT, c.METRIC, c.K, c.VALUE, c.LOW, c.HIGH, c.N)
_ITEM: Final = (c.ITEM_ID, c.TITLE, c.CATEGORY, c.USERS)


def sheets(run: Run, where: SliceKey, model_version: str) -> dict[str, str]:
    """The sheets of a date's lists by name; a model without item vectors has no map.

    Args:
        where: of `recommendations`: as_of_date and variant.
    """
    models = run.tables.read_or_empty(MODELS)
    model = models.where(F.col(c.MODEL_VERSION) == model_version).head()
    told: dict[str, Any] = {HEALTH: {"gates": _gates(run, where), "measured": _measured(run, model)}}
    plane = _map(run, model)
    if plane is not None:
        told[MAP] = {"model_version": model_version, **plane}
    return {name: json.dumps(sheet, ensure_ascii=False) for name, sheet in told.items()}


def _gates(run: Run, where: SliceKey) -> list[dict[str, Any]]:
    """What the last check of these lists found, in the order of its gates."""
    checks = run.tables.read_or_empty(GATE_RESULTS).where(F.col(c.GATE) != _ROLLBACK)
    for name, value in where.items():
        checks = checks.where(F.col(name) == F.lit(value))
    rows = collect_rows(checks, "checks of a date's lists", run.config.run.driver_bytes)
    if not rows:
        return []
    newest = max(rows, key=lambda row: row[c.CHECKED_AT])[c.RUN_ID]
    bounds = ("whole", *run.config.publish.gates.bounds())
    of_run = [row for row in rows if row[c.RUN_ID] == newest]
    return [_fields(row, _GATE) for row in sorted(of_run, key=lambda row: _place(bounds, row[c.GATE]))]


def _measured(run: Run, model: Row | None) -> list[dict[str, Any]]:
    """Figures of the evaluate fit that vouches for a model, and of the baselines measured beside it, over everyone; on test,
    where it was measured on that."""
    if model is None or model["evaluated_by"] is None:
        return []
    models = run.tables.read(MODELS.name)
    vouches = models.where(F.col(c.MODEL_VERSION) == model["evaluated_by"]).head()
    if vouches is None:
        return []
    figures = run.tables.read_or_empty(METRICS).where(F.col(c.AS_OF_DATE) == F.lit(vouches[c.AS_OF_DATE]))
    subjects = (vouches[c.MODEL_VERSION], *_BASELINES)
    wanted = figures.where((F.col(c.SEGMENT) == "all") & F.col(c.MODEL_VERSION).isin(*subjects))
    ordered = wanted.orderBy(c.PROTOCOL, c.SPLIT, c.METRIC, c.K, c.MODEL_VERSION)
    rows = [_fields(row, _FIGURE) for row in collect_rows(ordered, "figures of a model", run.config.run.driver_bytes)]
    return [row for row in rows if row[c.SPLIT] == _TEST] or rows


def _map(run: Run, model: Row | None) -> dict[str, Any] | None:
    """The items of most users by their vectors on the plane; None where the model keeps no vectors."""
    if model is None or not storage.has_folder(model["path"]):
        return None
    vectors = kept_vectors(model["path"])
    if vectors is None:
        return None
    features = run.tables.read_slice("item_features", {c.AS_OF_DATE: run.as_of, c.FIT: "production"})
    most = features.where(F.col(c.ITEM_IDX) < len(vectors)).orderBy(F.desc(c.USERS), c.ITEM_IDX).limit(_MOST_ON_MAP)
    items = most.join(run.tables.read("items").select(c.ITEM_IDX, c.ITEM_ID), on=c.ITEM_IDX, how="inner")
    told = items.join(run.tables.read_or_empty(ITEM_ATTRIBUTES), on=c.ITEM_ID, how="left")
    ordered = told.select(c.ITEM_IDX, *_ITEM).orderBy(F.desc(c.USERS), c.ITEM_IDX)
    rows = collect_rows(ordered, "items on the map", run.config.run.driver_bytes)
    if not rows:
        return None
    chosen = vectors[np.array([row[c.ITEM_IDX] for row in rows])]
    places, explained = on_plane(unit_vectors(chosen))
    return {
        "explained": explained,
        "items": [
            _fields(row, _ITEM) | {"x": round(float(x), 4), "y": round(float(y), 4)}
            for row, (x, y) in zip(rows, places, strict=True)
        ],
    }


def _fields(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)
