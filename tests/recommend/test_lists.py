from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from recsys_spark.config import load_config
from recsys_spark.recommend import lists
from recsys_spark.recommend.fallback import Popular
from recsys_spark.recommend.lists import Policy
from recsys_spark.recommend.rerank import ItemFacts, policy_of

# users 0 and 1 are known to the model, which knows items 0..4; 5 is newer
SCORES = np.array([[0.5, 0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5]], dtype=np.float32)
POPULAR = Popular(
    np.array([4, 5, 0, 1, 2, 3], dtype=np.int32),
    np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5], dtype=np.float32),
    {"F": (np.array([2, 4], dtype=np.int32), np.array([1.0, 0.5], dtype=np.float32))},
)


class Matrix:
    """A scorer that reads from a matrix, with the contract of the model's."""

    n_users, n_items = SCORES.shape
    history = 0

    def knows(self, users):
        return users.idx < self.n_users

    def top_n(self, users, n, exclude):
        scores = SCORES[users.idx].copy()
        if exclude is not None:
            indptr, indices = exclude
            for row in range(len(users)):
                own = indices[indptr[row] : indptr[row + 1]]
                scores[row, own[own < self.n_items]] = -np.inf
        items = np.argsort(-scores, axis=1, kind="stable")[:, :n].astype(np.int32)
        best = np.take_along_axis(scores, items, axis=1)
        items[best == -np.inf] = -1
        return items, np.where(best == -np.inf, 0, best).astype(np.float32)


@pytest.fixture(autouse=True)
def model(monkeypatch):
    monkeypatch.setattr(lists, "load_scorer", lambda path: Matrix())


def make(users, n, exclude_seen):
    """`[(user_idx, segment, seen)]` -> {user_idx: [(item_idx, reason)]}, ranks checked."""
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([u for u, _, _ in users], pa.int32()),
            pa.array([s for _, s, _ in users], pa.string()),
            pa.array([seen for _, _, seen in users], pa.list_(pa.int32())),
        ],
        ["user_idx", "segment", "seen"],
    )
    policy = Policy("path", n=n, exclude_seen=exclude_seen, block_users=2)
    out: dict[int, list[tuple[int, str]]] = {}
    for made in lists._lister(policy, type("B", (), {"value": POPULAR})())([batch]):
        for row in made.to_pylist():
            own = out.setdefault(row["user_idx"], [])
            own.append((row["item_idx"], row["reason_code"]))
            assert row["rank"] == len(own)
    return out


def test_known_users_get_the_models_best_without_what_they_had():
    made = make([(0, None, [0, 3]), (1, "F", [])], n=2, exclude_seen=True)
    assert made == {0: [(1, "model"), (2, "model")], 1: [(4, "model"), (3, "model")]}


def test_repeats_are_marked_where_they_are_allowed():
    made = make([(0, None, [0, 3])], n=2, exclude_seen=False)
    assert made == {0: [(0, "repeat"), (1, "model")]}


def test_unknown_users_get_their_segments_favourites_then_everyones():
    made = make([(7, "F", [4]), (8, None, []), (9, "unheard", [])], n=3, exclude_seen=True)
    assert made[7] == [(2, "popular_segment"), (5, "popular"), (0, "popular")]
    assert made[8] == made[9] == [(4, "popular"), (5, "popular"), (0, "popular")]


def test_a_user_who_had_nearly_everything_still_gets_a_whole_list():
    made = make([(0, None, [0, 1, 2, 3, 5])], n=4, exclude_seen=True)
    assert made[0] == [(4, "model"), (5, "repeat"), (0, "repeat"), (1, "repeat")]


def test_items_newer_than_the_model_in_a_history_do_no_harm():
    assert make([(0, None, [0, 5])], n=1, exclude_seen=True) == {0: [(1, "model")]}


def test_a_block_is_re_ranked_by_what_the_model_scored_and_its_chances_are_kept(monkeypatch):
    monkeypatch.setattr(lists, "with_vectors", lambda facts, path: facts)
    chosen = load_config(settings=["recommend.rerank={category_cap: 1, exploration: {epsilon: 0.5, places: 1}}"])
    facts = ItemFacts(np.zeros(5, np.float32), np.array([7, 7, 8, 8, 9], np.int32), np.full(5, -1, np.int32))
    reranking = policy_of(chosen.recommend.rerank, (), seed=0, day=0)
    policy = Policy("path", 3, True, 2, calibration=lambda scores: scores + np.float32(10.0), rerank=reranking)
    batch = pa.RecordBatch.from_arrays(
        [pa.array([0, 7], pa.int32()), pa.array([None, None], pa.string()), pa.array([[0], []], pa.list_(pa.int32()))],
        ["user_idx", "segment", "seen"],
    )
    popular, shared = (type("B", (), {"value": value})() for value in (POPULAR, facts))
    made = [row for out in lists._lister(policy, popular, facts=shared)([batch]) for row in out.to_pylist()]
    # without item 0: 1 of category 7, 2 of 8, and then only 4 is of another
    assert [(row["item_idx"], row["propensity"]) for row in made[:3]] == [(1, 1.0), (2, 1.0), (4, 1.0)]
    assert [row["score"] for row in made[:3]] == pytest.approx([10.4, 10.3, 10.1])
    assert [(row["reason_code"], row["propensity"]) for row in made[3:]] == [("popular", 1.0)] * 3
