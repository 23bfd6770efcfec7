"""Neighbours and planes of a few hundred vectors, beside scikit-learn's; files for the projector; what is written of titles."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from recsys_spark.explore.entries import Entries
from recsys_spark.report.parts_items import plane
from recsys_spark.report.projector import projector_files
from recsys_spark.report.space import Item, Space, neighbours, planes

N = 60


def space_of(n: int = N) -> Space:
    """Two clouds of items, one a category."""
    rng = np.random.default_rng(2)
    centres = np.repeat(np.eye(8)[:2] * 3, [n // 2, n - n // 2], axis=0)
    vectors = (centres + rng.normal(0, 0.4, (n, 8))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = [Item(i, f"i{i}", f"Title {i}\t</script> & more", ("Drama", "War")[i >= n // 2], n - i) for i in range(n)]
    return Space(items, vectors, [0, n - 1])


def test_neighbours_are_those_of_scikit_learn():
    space = space_of()
    found = Entries(neighbours(space, 5))
    away, places = (
        NearestNeighbors(n_neighbors=6, metric="cosine").fit(space.vectors).kneighbors(space.vectors[[0, N - 1]])
    )
    for own, near, far in zip((0, N - 1), places, away, strict=True):
        rows = found.rows("neighbours", f"i{own}")
        assert list(rows) == [f"i{other}" for other in near[1:]]
        assert [row["similarity"] for row in rows.values()] == pytest.approx(1 - far[1:], abs=1e-5)


@pytest.mark.slow  # numba compiles
def test_pca_is_that_of_scikit_learn_but_for_signs():
    space = space_of()
    laid_out = planes(space, 42)
    expected = PCA(2).fit_transform(space.vectors.astype(float))
    for axis in (0, 1):
        assert abs(np.corrcoef(laid_out["PCA"][:, axis], expected[:, axis])[0, 1]) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_umap_keeps_clouds_apart_and_is_the_same_twice():
    space = space_of()
    once, again = planes(space, 42)["UMAP"], planes(space, 42)["UMAP"]
    assert np.array_equal(once, again)
    first, second = once[: N // 2], once[N // 2 :]
    spread = max(np.linalg.norm(part - part.mean(axis=0), axis=1).max() for part in (first, second))
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > spread


def test_too_few_items_make_no_plane_and_it_is_said():
    few = Space(space_of().items[:4], space_of().vectors[:4], [0])
    assert planes(few, 42) == {}
    part, pictures = plane(few, {})
    assert "too few items" in part.blocks[0].text and not pictures


def test_files_of_the_projector_have_a_row_an_item_in_the_same_order():
    space = space_of()
    files = {name.removeprefix("projector/"): content.decode() for name, content in projector_files(space).items()}
    vectors = np.loadtxt(io.StringIO(files["vectors.tsv"]), delimiter="\t")
    assert np.allclose(vectors, space.vectors, atol=1e-5)
    rows = list(csv.DictReader(io.StringIO(files["metadata.tsv"]), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [(row["item_id"], row["category"], row["users"]) for row in rows] == [
        (item.item_id, item.category, str(item.users)) for item in space.items
    ]
    assert rows[3]["title"] == "Title 3 </script> & more"
    config = files["projector_config.pbtxt"]
    assert set(re.findall(r'_path: "(.*)"', config)) == files.keys() - {"projector_config.pbtxt"}


def test_no_title_ends_the_script_that_holds_it():
    space = space_of()
    points = np.random.default_rng(0).normal(size=(N, 2))
    part, pictures = plane(space, {"PCA": points})
    widget = part.blocks[1]
    (written,) = re.findall(r'<script type="application/json">(.*?)</script>', widget, re.DOTALL)
    data = json.loads(written)
    assert [row[0] for row in data["items"]] == [item.title for item in space.items]
    assert data["groups"] == ["Drama", "War"] and [row[3] for row in data["items"]] == [0] * (N // 2) + [1] * (N // 2)
    placed = np.array(data["points"][0])
    assert placed.min() >= 0 and placed.max() <= 1000
    assert (
        np.corrcoef(placed[:, 0], points[:, 0])[0, 1] > 0.999 and np.corrcoef(placed[:, 1], -points[:, 1])[0, 1] > 0.999
    )
    assert list(pictures) == ["items-by-pca.png"]
