"""Parts on the items: folding, nearest neighbours, and the plane."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from recsys_spark.explore.entries import OTHERS, UNKNOWN, Entries
from recsys_spark.pages import Note, Part, Points, Table, scatter
from recsys_spark.pages.words import cut
from recsys_spark.report.space import NEIGHBOURS, Item, Space
from recsys_spark.report.training import FOLDING

_CATEGORIES: Final = 6  # that have a colour and a mark of their own; more cannot be told apart
_TITLE: Final = 90  # letters
_NO_VECTORS: Final = (
    "This model keeps no vector an item, or too few items were taken often enough to have one that says something."
)


def folding(found: Entries, least_users: int) -> Part:
    """The measure, where the training took it."""
    title, folded = "Folding", found.figure(FOLDING, FOLDING, FOLDING)
    if folded is None:
        why = "It is measured in training, of models that retrieve by vectors, with training.folding_items above 0."
        return Part(title, [Note("Not measured", why)])
    said = (
        "The share of items' ten nearest neighbours that share no user with them: items that lie together by chance of training, "
        f"and may be recommended for no reason. Among items that {least_users} users or more took. 0 is best."
    )
    return Part(title, [{"folding": folded}, said])


def nearest(found: Entries, space: Space | None) -> Part:
    """A table of neighbours for each item asked for."""
    title = "Nearest neighbours"
    if space is None or not found.series(NEIGHBOURS):
        return Part(title, [Note("Not of this model", _NO_VECTORS)])
    by_id = {item.item_id: item for item in space.items}
    tables = [
        Table(
            ["item", "category", "users", "similarity"],
            [
                [by_id[other].title, by_id[other].category, by_id[other].users, row["similarity"]]
                for other, row in found.rows(NEIGHBOURS, item_id).items()
            ],
            f"{by_id[item_id].title} ({by_id[item_id].category}, id {item_id})",
        )
        for item_id in found.series(NEIGHBOURS)
    ]
    among = f"By cosine of the items' vectors, among the {len(space.items):,} items of the plane"
    said = f"{among}, see training.folding_users. report.items chooses whose are shown."
    return Part(title, [said, *tables])


def plane(space: Space | None, laid_out: Mapping[str, npt.NDArray[np.float64]]) -> tuple[Part, dict[str, bytes]]:
    """The plane to hover over and search, and a PNG a method for whoever has no browser at hand."""
    title = "Items on the plane"
    if space is None or not laid_out:
        return Part(title, [Note("Not of this model", _NO_VECTORS)]), {}
    groups = _groups(space)
    said = (
        f"The {len(space.items):,} most popular items by the directions of their vectors, coloured by their first category. PCA "
        "shows what differs most; UMAP keeps neighbours together, and distances between groups mean little there."
    )
    pictures = {}
    for method, points in laid_out.items():
        of_group = {
            name: Points(*points[[group == name for group in groups]].T.tolist())
            for name in dict.fromkeys(_ordered(groups))
        }
        chart = scatter(f"Items by {method}", of_group, f"{method} 1", f"{method} 2")
        pictures[f"{chart.name}.png"] = chart.png()
    return Part(title, [said, _widget(space, laid_out, groups)]), pictures


def _groups(space: Space) -> list[str]:
    """Each item's category, the most common ones by name."""
    counted = Counter(item.category for item in space.items if item.category != UNKNOWN)
    common = {name for name, _ in sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:_CATEGORIES]}
    return [
        item.category if item.category in common else UNKNOWN if item.category == UNKNOWN else OTHERS
        for item in space.items
    ]


def _ordered(groups: list[str]) -> list[str]:
    """The largest first, those without a name of their own last."""
    counted = Counter(groups)
    return sorted(counted, key=lambda name: (name in (OTHERS, UNKNOWN), -counted[name], name))


def _widget(space: Space, laid_out: Mapping[str, npt.NDArray[np.float64]], groups: list[str]) -> Markup:
    """The file plane.html with the items as JSON, in which no sign can end the script that holds it."""
    names = _ordered(groups)
    data = {
        "groups": names,
        "methods": list(laid_out),
        "items": [_row(item, names.index(group)) for item, group in zip(space.items, groups, strict=True)],
        "points": [_scaled(points) for points in laid_out.values()],
    }
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    safe = written.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    template = (resources.files(__package__) / "plane.html").read_text(encoding="utf-8")
    return Markup(template.replace("{{data}}", safe))


def _row(item: Item, group: int) -> list[str | int]:
    return [cut(item.title, _TITLE), item.category, item.users, group]


def _scaled(points: npt.NDArray[np.float64]) -> list[list[int]]:
    """Within 0..1000 on both axes, of one scale, the second one upwards."""
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - (low + high) / 2) / max(float((high - low).max()), 1e-12) * 1000 + 500
    scaled[:, 1] = 1000 - scaled[:, 1]
    rows: list[list[int]] = scaled.round().astype(int).tolist()
    return rows
