"""Candidates of several sources, what the model makes of them, and what is in no list whatever proposes it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.recommend import lists, pools, sources
from recsys_spark.recommend.barring import Catalogue
from recsys_spark.recommend.blocks import blocks
from recsys_spark.recommend.fallback import Popular
from recsys_spark.recommend.lists import Policy
from recsys_spark.recommend.pools import Sigmoid
from recsys_spark.recommend.proposals import Neighbours, Ranked
from recsys_spark.recommend.sources import Sources, candidates_of
from recsys_spark.recommend.tally import Tally
from tests.recommend.blocks import Matrix, batch_of

# the model knows users 0 and 1, and items 0..4 of 6
MODEL = Matrix([[0.5, 0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5]])
POPULAR = Popular(np.array([4, 5, 0, 1, 2, 3], np.int32), np.array([1, 0.9, 0.8, 0.7, 0.6, 0.5], np.float32), {})
N_ITEMS, EVERYTHING = 6, ("model", "retriever", "co_occurrence", "recent_popular", "new_items", "repeat")
NEIGHBOURS = Neighbours(
    np.array([[3, 5], [2, -1], [1, -1], [0, -1], [-1, -1], [0, -1]], np.int32),
    np.array([[0.9, 0.1], [0.5, 0], [0.5, 0], [0.9, 0], [0, 0], [0.1, 0]], np.float32),
)


@pytest.fixture(autouse=True)
def model(monkeypatch):
    for module in (lists, sources):
        monkeypatch.setattr(module, "load_scorer", lambda path: MODEL)


def of(**quotas: int) -> Sources:
    return Sources(
        quotas,
        "model",
        "retriever",
        latest=3,
        neighbours=NEIGHBOURS,
        recent=Ranked.of(POPULAR, 6),
        new=Ranked.of(POPULAR, 6),
    )


class Shipped:
    def __init__(self, value):
        self.value = value


def made(batch, from_sources, n=3, catalogue=None, exclude_seen=True, calibration=None):
    """{user_idx: rows} of the lister."""
    policy = Policy("path", n, exclude_seen, 2, calibration)
    known = None if catalogue is None else Shipped(catalogue)
    shipped = None if from_sources is None else Shipped(from_sources)
    rows = [row for out in lists._lister(policy, Shipped(POPULAR), known, shipped)([batch]) for row in out.to_pylist()]
    by_user: dict[int, list[dict]] = {user: [] for user in batch.column("user_idx").to_pylist()}
    for row in rows:
        by_user[row["user_idx"]].append(row)
    return by_user


def test_candidates_are_scored_by_the_model_and_keep_their_sources():
    batch = batch_of(items=[[0, 1], []], times=[[0, 0], []], seen=[[0, 1], []])
    (first, second) = made(batch, of(co_occurrence=2, model=2)).values()
    # user 0: 3 and 2 go with 0 and 1, and are the model's best of what is left; 5 is newer than the model
    told = [(row["item_idx"], row["reason_code"], row["reason_item_idx"], row["sources"]) for row in first]
    assert told == [(2, "co_occurrence", 1, 5), (3, "co_occurrence", 0, 5), (4, "popular", -1, 64)]
    assert [row["score"] for row in first[:2]] == pytest.approx([0.3, 0.2])
    assert [(row["item_idx"], row["reason_code"]) for row in second] == [(4, "model"), (3, "model"), (5, "popular")]


def test_what_was_had_comes_again_from_repeat_alone():
    batch = batch_of(items=[[0, 0, 1]], times=[[5, 5, 5]], seen=[[0, 1]])
    (rows,) = made(batch, of(model=1, repeat=1)).values()
    told = [(row["item_idx"], row["reason_code"], row["reason_item_idx"]) for row in rows]
    assert told == [(0, "repeat", 0), (2, "model", -1), (4, "popular", -1)]


def test_users_whom_the_model_does_not_know_keep_the_order_of_the_sources():
    batch = batch_of(user_idx=[7], items=[[0]], times=[[5]], seen=[[0]])
    (rows,) = made(batch, of(co_occurrence=2, recent_popular=2)).values()
    assert [(row["item_idx"], row["reason_code"]) for row in rows] == [
        (3, "co_occurrence"), (5, "co_occurrence"), (4, "recent_popular")
    ]  # fmt: skip
    assert [row["score"] for row in rows] == pytest.approx([1, 1 / 2, 1 / 3])
    assert [row["sources"] for row in rows] == [4, 4 + 8, 8 + 64]  # what everyone gets is fallback


def test_candidates_of_the_table_are_taken_as_they_are():
    batch = batch_of(candidates=[[4, 2]], sources=[[8, 1]], because=[[-1, -1]])
    (rows,) = made(batch, of(model=6, recent_popular=6), n=2).values()
    assert [(row["item_idx"], row["reason_code"]) for row in rows] == [(2, "model"), (4, "recent_popular")]


def test_calibration_keeps_the_order_and_leaves_the_fallback_alone():
    batch = batch_of(user_idx=[0, 7])
    known, unknown = made(batch, None, n=2, calibration=Sigmoid(2.0, -1.0)).values()
    assert [row["score"] for row in known] == pytest.approx([1 / 2, 1 / (1 + np.exp(0.2))])
    assert [row["score"] for row in unknown] == pytest.approx([1, 0.9])


def test_a_list_is_shorter_where_too_little_may_be_in_it():
    nearly_all = Catalogue(np.array([2, 2, 2, 2, 0, 0], np.uint8), np.zeros(6, np.int64))
    batch = batch_of(user_idx=[0, 7], seen=[[4], []])
    known, unknown = made(batch, None, catalogue=nearly_all).values()
    assert [(row["rank"], row["item_idx"], row["reason_code"]) for row in known] == [
        (1, 5, "popular"),
        (2, 4, "repeat"),
    ]
    assert [(row["rank"], row["item_idx"]) for row in unknown] == [(1, 4), (2, 5)]


def test_what_each_source_came_upon_and_each_filter_took():
    # everyone's favourites are 4, 5, 0, 1, 2, 3. Item 4 is sold out; item 0 is not for users with rule `late`, nor for user 0
    catalogue = Catalogue(np.array([0, 0, 0, 0, 2, 0], np.uint8), np.array([2, 0, 0, 0, 0, 0]), ("early", "late"))
    batch = batch_of(
        seen=[[0, 5], []], items=[[0, 5], []], times=[[9, 9], []], rules=[2, 0], blocked=[[0], []], user_idx=[0, 1]
    )
    (block,) = blocks([batch], 2, catalogue, exclude_seen=True)
    tally = Tally()
    candidates_of(block, of(recent_popular=2, repeat=2, model=2), tally)
    tally.end_block()
    assert tally.steps == {
        # user 0 comes upon 4, 5, 0, 1 and 2 for two that are left, user 1 upon 4, 5 and 0
        ("candidates", "recent_popular"): (2, 8, 4),
        # of 0 and 5, which may come again, 0 is barred
        ("candidates", "repeat"): (1, 2, 1),
        # the model searches its five items for both, without what is barred
        ("candidates", "model"): (2, 10, 4),
        # user 0: 1, 2, 5 and again 1, 2; user 1: 5, 0, 3, 2
        ("candidates", "joined"): (2, 9, 7),
        ("filters", "without_event"): (2, 10, 10),
        ("filters", "unavailable"): (2, 10, 8),
        ("filters", "blocked_category"): (2, 10, 10),
        ("filters", "rule_early"): (2, 10, 10),
        ("filters", "rule_late"): (2, 10, 8),  # both times that 0 came up
        ("filters", "blocked_pairs"): (2, 10, 8),
        ("filters", "seen"): (2, 8, 6),  # 5 and 0 of user 0, but not as repeats
    }


def test_what_is_scored_of_the_candidates():
    # user 0 has 5, newer than the model, among three; the model does not know user 7
    batch = batch_of(
        user_idx=[0, 7], candidates=[[4, 5, 2], [1, 3]], sources=[[8] * 3, [8] * 2], because=[[-1] * 3, [-1] * 2]
    )
    (block,) = blocks([batch], 2, Catalogue.open(), exclude_seen=True)
    tally = Tally()
    pools.of_candidates(MODEL, block, of(model=6), tally)
    tally.end_block()
    assert tally.steps == {("scoring", "model"): (1, 3, 2), ("scoring", "unknown"): (1, 2, 2)}


item_sets = st.lists(st.integers(0, N_ITEMS - 1), max_size=4, unique=True)


@given(
    names=st.lists(st.sampled_from(EVERYTHING), unique=True),
    quota=st.integers(1, 4),
    seen=st.lists(item_sets, min_size=3, max_size=3),
    blocked=st.lists(item_sets, min_size=3, max_size=3),
    rules=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    about=st.lists(st.integers(0, 3), min_size=N_ITEMS, max_size=N_ITEMS),
    unavailable=item_sets,
    exclude_seen=st.booleans(),
)
def test_nothing_barred_is_in_any_list(names, quota, seen, blocked, rules, about, unavailable, exclude_seen):
    barred = np.zeros(N_ITEMS, np.uint8)
    barred[unavailable] = 2
    catalogue = Catalogue(barred, np.array(about))
    users = [0, 1, 7]
    batch = batch_of(
        user_idx=users, seen=seen, items=seen, times=[[9] * len(own) for own in seen], rules=rules, blocked=blocked
    )
    chosen = of(**dict.fromkeys(names, quota)) if names else None
    result = made(batch, chosen, catalogue=catalogue, exclude_seen=exclude_seen)
    for place, user in enumerate(users):
        never = {i for i in range(N_ITEMS) if barred[i] or about[i] & rules[place] or i in blocked[place]}
        items = [row["item_idx"] for row in result[user]]
        assert not never & set(items)
        assert len(items) == len(set(items)) == min(3, N_ITEMS - len(never))
        assert [row["rank"] for row in result[user]] == list(range(1, len(items) + 1))
        if exclude_seen:
            again = [row for row in result[user] if row["item_idx"] in seen[place]]
            assert all(row["reason_code"] == "repeat" for row in again)
        assert all(row["propensity"] == 1.0 for row in result[user])
    if chosen is not None:
        (block,) = blocks([batch], 3, catalogue, exclude_seen)
        found = candidates_of(block, chosen, Tally())
        for name in names:
            assert ((found.bits > 0) & (found.bits & pools.BITS[name] != 0)).sum(axis=1).max(initial=0) <= quota
