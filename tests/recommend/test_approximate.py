from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from recsys_spark.errors import UserError
from recsys_spark.recommend import approximate, sources
from recsys_spark.recommend.barring import Catalogue
from recsys_spark.recommend.blocks import blocks
from recsys_spark.recommend.recall import recall_pass
from recsys_spark.recommend.sources import Sources, candidates_of
from recsys_spark.recommend.tally import Tally
from tests.recommend.blocks import Matrix, batch_of


@pytest.fixture
def world(tmp_path):
    pytest.importorskip("faiss", reason="needs the extra `index`")
    rng = np.random.default_rng(5)
    vectors = (rng.normal(size=(2000, 16)) * rng.uniform(0.2, 3.0, (2000, 1))).astype(np.float32)
    queries = rng.normal(size=(30, 16)).astype(np.float32)
    location = approximate.built(str(tmp_path / "artifact"), vectors, limit=1 << 30)
    return vectors, queries, location, tmp_path


def test_the_best_by_dot_product_are_found_of_vectors_of_any_length(world):
    vectors, queries, location, _ = world
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :50]
    found = approximate.nearest(location, queries, 50, probed=1.0, rescored=8)
    assert _recall(exact, found) >= 0.99
    dots = np.take_along_axis(queries @ vectors.T, found, axis=1)
    assert (np.diff(dots, axis=1) <= 1e-4).all()


def test_more_lists_find_more_of_the_best(world):
    vectors, queries, location, _ = world
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :50]
    shares = (0.01, 0.1, 0.5, 1.0)
    recalls = [_recall(exact, approximate.nearest(location, queries, 50, share, 8)) for share in shares]
    assert recalls == sorted(recalls) and recalls[0] < 0.5


def test_a_small_catalogue_is_looked_through_whole(tmp_path):
    pytest.importorskip("faiss", reason="needs the extra `index`")
    vectors = np.random.default_rng(3).normal(size=(40, 3)).astype(np.float32)
    location = approximate.built(str(tmp_path), vectors, limit=1 << 30)
    found = approximate.nearest(location, vectors, 45, probed=0.01, rescored=1)
    assert np.array_equal(found[:, :40], np.argsort(-(vectors @ vectors.T), axis=1))
    assert (found[:, 40:] == -1).all()


def test_an_index_is_built_once(world, monkeypatch):
    vectors, _, location, folder = world
    monkeypatch.setattr(approximate, "_faiss", lambda: pytest.fail("built again"))
    assert approximate.built(str(folder / "artifact"), vectors, 1 << 30) == location


def test_what_is_barred_is_made_up_for(world, monkeypatch):
    vectors, queries, location, _ = world

    class Retriever(Matrix):
        def queries(self, users):
            return queries[users.idx]

    monkeypatch.setattr(sources, "load_scorer", lambda path: Retriever(queries @ vectors.T))
    best = np.argsort(-(queries[0] @ vectors.T))[:20]
    batch = batch_of(user_idx=[0, 99], seen=[best[:10].tolist(), []])
    (block,) = blocks([batch], 2, Catalogue.open(), exclude_seen=True)
    asked = Sources({"retriever": 10}, retriever="path", index=location)
    found = candidates_of(block, asked, Tally())
    assert found.items[0].tolist() == best[10:].tolist()
    assert (found.items[1] == -1).all()


def test_recall_is_of_what_exact_retrieval_proposes_under_the_filters(monkeypatch):
    class Retriever(Matrix):
        def queries(self, users):
            return self._scores[users.idx]

    # item 0 is sold out and user 1 had 3; the index never comes upon item 2. Of user 0 it finds 1 and 3 out of 1, 2 and 3, of
    # user 1 all of 4, 2 and 1 but 2; user 9 is unknown
    scores = [[0.9, 0.8, 0.7, 0.6, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5]]
    monkeypatch.setattr(sources, "load_scorer", lambda path: Retriever(scores))

    def nearest(location, queries, most, probed, rescored):
        return np.array([[*(i for i in np.argsort(-query) if i != 2), -1] for query in queries], np.int32)[:, :most]

    monkeypatch.setattr(approximate, "nearest", nearest)
    shipped = SimpleNamespace(value=Sources({"retriever": 3}, retriever="path", index="somewhere"))
    sold_out = SimpleNamespace(value=Catalogue(np.array([2, 0, 0, 0, 0], np.uint8), np.zeros(5, np.int64)))
    batch = batch_of(user_idx=[0, 1, 9], seen=[[], [3], []])
    (rows,) = (made.to_pylist() for made in recall_pass(shipped, sold_out, 8, exclude_seen=True)([batch]))
    assert rows == [{"users": 2, "rows_in": 6, "rows_out": 4}]


def test_an_index_that_does_not_fit_the_driver_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"1,000 items would take 108,000 bytes .* run.driver_bytes"):
        approximate.built(str(tmp_path), np.zeros((1000, 8), np.float32), limit=1)


def _recall(exact, found):
    return np.mean([np.isin(one, other).mean() for one, other in zip(exact, found, strict=True)])
