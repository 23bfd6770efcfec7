"""A made-up grocery for the page: a store of two variants without Spark, and stand-ins for what is made on the spot.

The stand-ins come before the service's own routes, so that what they answer can be written down here.
"""

from __future__ import annotations

import json
from datetime import date, timedelta

from fastapi import APIRouter, FastAPI, HTTPException

from recsys_spark.serving.loading import ItemRow, Keeper
from recsys_spark.serving.sheet_names import HEALTH, MAP
from recsys_spark.serving.store import Entry
from tests.serving.nights import load

DAY = date(2024, 3, 1)
GROUPS = {
    "FRUIT": ["Bananas", "Strawberries, 16 OZ", "Gala apples", "Lemons", "Blueberries", "Pears"],
    "BAKED BREAD": ["Hot dog buns", "White bread, 20 OZ", "Rye bread", "Bagels", "Croissants", "Tortillas"],
    "FLUID MILK PRODUCTS": ["Whole milk, 1 GA", "Skimmed milk", "Oat drink", "Cream", "Yoghurt", "Butter"],
    "SOFT DRINKS": ["Cola, 12 cans", "Ginger ale", "Sparkling water", "Orange soda", "Iced tea", "Tonic"],
    "FROZEN PIZZA": ["Pizza margherita", "Pizza with a very long name that has to be wrapped on a narrow phone", "Calzone"],
}  # fmt: skip
ITEMS = [
    ItemRow(place, f"p{place}", title, f"{group}|FOOD", "Own", None, None, 100 - place, True)
    for place, (group, title) in enumerate((group, title) for group, titles in GROUPS.items() for title in titles)
]
ROWS = {item.item_id: item for item in ITEMS}
USERS = ["1", "10", "11", "12", "2", "33"]
HISTORY = [("p7", 0), ("p0", 1), ("p12", 3), ("p19", 8)]
GATES = [
    ("whole", 0.0, None, 0.0, "passed", "every user's list is without gaps, repeats and nulls"),
    ("full_lists", 1.0, 0.999, None, "passed", "share of the users whose list is full: 1, expected at least 0.999"),
    ("overlap", None, 0.05, None, "not_measured", "mean share of a user's list that stood in the live one: not known"),
    ("score_drift", 1.4, None, 1.0, "forced", "population stability index: 1.4, expected at most 1; forced: new model"),
]


def entries(start: int) -> list[Entry]:
    """Twelve items from a place of the catalogue on, going down from 3."""
    ids = [f"p{(start + 5 * place) % len(ITEMS)}" for place in range(12)]
    codes = ["repeat", "model", "co_occurrence"]
    return [
        Entry(item_id, 3.0 - place / 5, codes[place % 3], "p0" if place % 3 == 2 else None)
        for place, item_id in enumerate(ids)
    ]


def health() -> str:
    names = ("gate", "value", "low", "high", "verdict", "reason")
    measured = [
        {
            "model_name": name, "protocol": "full", "split": "test", "metric": metric, "k": k, "value": value * k / 20,
            "low": (value - 0.02) * k / 20, "high": (value + 0.02) * k / 20, "n": 1692,
        }
        for metric, scale in (("ndcg", 0.3), ("hr", 1.0), ("recall", 0.2))
        for name, value in (("two_tower", 0.7 * scale), ("popularity", 0.55 * scale), ("random", 0.05 * scale))
        for k in (5, 10)
    ]  # fmt: skip
    return json.dumps({"gates": [dict(zip(names, gate, strict=True)) for gate in GATES], "measured": measured})


def plane() -> str:
    """Each group around a corner of its own."""
    corners = dict(zip(GROUPS, [(-0.8, 0.8), (0.7, 0.7), (0.8, -0.6), (-0.7, -0.8), (0.0, 0.0)], strict=True))
    items = []
    for item in ITEMS:
        x, y = corners[item.category.partition("|")[0]]
        across, up = (item.item_idx % 3 - 1) / 8, (item.item_idx % 2) / 8
        items.append(
            {"item_id": item.item_id, "title": item.title, "category": item.category, "users": item.users}
            | {"x": round(x + across, 4), "y": round(y + up, 4)}
        )
    return json.dumps({"model_version": "two_tower-20240301", "explained": [0.31, 0.22], "items": items})


def fill(keeper: Keeper, sheets: bool = True) -> None:
    """Variant `default` with all that a night may have, and variant `b` with nothing but lists."""
    lists = {user: entries(place) for place, user in enumerate(USERS)}
    told = {HEALTH: health(), MAP: plane()} if sheets else {}
    load(keeper, "of-default", lists, ITEMS, "default", DAY, sheets=told)
    load(keeper, "of-b", {user: entries(place + 2) for place, user in enumerate(USERS)}, ITEMS, "b", DAY)


def with_live_lists(app: FastAPI) -> None:
    """Stand-ins: a list on the spot has the last item of the session's neighbours first, then what is published."""
    router = APIRouter(prefix="/v1", include_in_schema=False)

    @router.post("/recommend")
    async def recommend(body: dict) -> dict:
        taken = set(body["items"])
        near = [row.item_id for row in ITEMS if row.category == ROWS[body["items"][-1]].category]
        other = [entry.item_id for entry in entries(USERS.index(body["user_id"]) if body["user_id"] else 0)]
        wanted = [item_id for item_id in dict.fromkeys([*near[:4], *other]) if item_id not in taken][: body["n"]]
        return {
            "user_id": body["user_id"], "variant": body["variant"] or "default", "as_of_date": DAY.isoformat(),
            "model_version": "two_tower-20240301", "fallback": False, "ignored": [],
            "items": [
                {"rank": rank, "item_id": item_id, "title": ROWS[item_id].title, "score": 2.0 / rank, "reason_code": "model",
                 "reason": "predicted for this session", "reason_item_id": None}
                for rank, item_id in enumerate(wanted, start=1)
            ],
        }  # fmt: skip

    @router.get("/users/{user_id:path}/history")
    async def history(user_id: str, n: int = 10) -> dict:
        days = [(ROWS[item_id], DAY - timedelta(days=ago)) for item_id, ago in HISTORY]
        return {"user_id": user_id, "items": [named(row) | {"day": day.isoformat()} for row, day in days][:n]}

    @router.get("/items/{item_id:path}/similar")
    async def similar(item_id: str, n: int = 10) -> dict:
        like = [row for row in ITEMS if row.category == ROWS[item_id].category and row.item_id != item_id][:n]
        items = [named(row) | {"rank": rank, "score": 1 / rank} for rank, row in enumerate(like, start=1)]
        return {"item_id": item_id, "items": items}

    app.router.routes[:0] = router.routes


def named(row: ItemRow) -> dict:
    return {"item_id": row.item_id, "title": row.title, "category": row.category}


def without_live_lists(app: FastAPI) -> None:
    """A service that has none of it, each in a way of its own."""
    router = APIRouter(prefix="/v1", include_in_schema=False)

    @router.post("/recommend")
    async def recommend() -> None:
        raise HTTPException(409, "this model makes no lists on the spot")

    @router.get("/users/{user_id:path}/history")
    async def history() -> None:
        raise HTTPException(404)

    @router.get("/items/{item_id:path}/similar")
    async def similar() -> None:
        raise HTTPException(503, "no model is loaded", {"Retry-After": "30"})

    app.router.routes[:0] = router.routes
