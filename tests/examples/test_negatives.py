from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.examples.negatives import NONE_LEFT, Pool, draw_candidates, draw_negatives
from recsys_spark.hashing import pair_keys

histories = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 11)), min_size=1, max_size=40, unique=True)


@settings(max_examples=60, deadline=None)
@given(histories, st.integers(0, 2**40), st.integers(1, 6))
def test_no_negative_is_a_positive_of_that_user_and_all_are_of_the_pool(pairs, seed, count):
    users, items = (np.array(column, dtype=np.int32) for column in zip(*sorted(pairs), strict=True))
    pool = Pool.uniform(np.arange(12))
    negatives = draw_negatives(seed, 0, users, items, np.zeros_like(users), count, pair_keys(users, items), pool)
    assert negatives.shape == (len(users), count)
    had = set(pairs)
    for user, row in zip(users.tolist(), negatives.tolist(), strict=True):
        if NONE_LEFT in row:
            assert {item for u, item in had if u == user} == set(range(12))
            assert row == [NONE_LEFT] * count
        else:
            assert all(0 <= item < 12 and (user, item) not in had for item in row)


def test_a_pair_has_the_same_negatives_whoever_stands_beside_it():
    users, items = np.array([1, 1, 2, 9]), np.array([3, 4, 3, 0])
    barred, pool, once = pair_keys(users, items), Pool.uniform(np.arange(1000)), np.zeros(4, dtype=int)
    together = draw_negatives(7, 2, users, items, once, 4, barred, pool)
    rows = [slice(n, n + 1) for n in range(4)]
    alone = [draw_negatives(7, 2, users[row], items[row], once[row], 4, barred, pool)[0] for row in rows]
    np.testing.assert_array_equal(together, alone)


def test_another_draw_seed_or_repeat_gives_other_negatives():
    users, items = np.zeros(50, dtype=int), np.arange(50)
    pool = Pool.uniform(np.arange(10_000))

    def drawn(seed, draw, repeat=0):
        return draw_negatives(seed, draw, users, items, users + repeat, 4, pair_keys(users, items), pool)

    assert not np.array_equal(drawn(1, 0), drawn(1, 1))
    assert not np.array_equal(drawn(1, 0), drawn(2, 0))
    assert not np.array_equal(drawn(1, 0), drawn(1, 0, repeat=1))
    np.testing.assert_array_equal(drawn(1, 0), drawn(1, 0))


def test_a_user_with_nearly_everything_still_gets_what_is_left():
    items = np.arange(9_999)
    users = np.zeros_like(items)
    pool = Pool.uniform(np.arange(10_000))
    negatives = draw_negatives(3, 0, users[:5], items[:5], users[:5], 3, pair_keys(users, items), pool)
    assert (negatives == 9_999).all()


def test_uniform_draws_are_uniform():
    users = np.arange(20_000)
    nothing = np.empty(0, dtype=np.uint64)
    drawn = draw_negatives(
        5, 0, users, np.zeros_like(users), np.zeros_like(users), 5, nothing, Pool.uniform(np.arange(10))
    )
    counts = np.bincount(drawn.ravel(), minlength=10)
    # chi-squared with 9 degrees of freedom: 27.9 is its 99.9% quantile
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9


def test_weighted_draws_follow_popularity_to_the_power():
    users = np.arange(30_000)
    nothing = np.empty(0, dtype=np.uint64)
    pool = Pool.weighted(np.array([4, 2, 7]), np.array([1, 16, 81]), alpha=0.5)  # weights 1, 4, 9
    drawn = draw_negatives(5, 0, users, np.zeros_like(users), np.zeros_like(users), 2, nothing, pool)
    shares = np.array([(drawn == item).mean() for item in (4, 2, 7)])
    np.testing.assert_allclose(shares, np.array([1, 4, 9]) / 14, atol=0.01)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 29)), st.integers(1, 40), st.integers(0, 1000))
def test_candidates_are_different_sorted_not_the_users_own_and_as_many_as_there_are(own, count, user):
    own_items = np.array(sorted(own), dtype=np.int32)
    barred = pair_keys(np.full(len(own_items), user), own_items)
    chosen = draw_candidates(11, 0, user, count, barred, Pool.uniform(np.arange(30))).tolist()
    assert chosen == sorted(set(chosen))
    assert not set(chosen) & own
    assert len(chosen) == min(count, 30 - len(own))


def test_pair_keys_sort_by_user_then_item():
    assert (np.diff(pair_keys(np.array([0, 0, 1, 2]), np.array([5, 9, 0, 0])).astype(np.int64)) > 0).all()


def test_an_empty_pool_is_no_pool():
    with pytest.raises(ValueError, match="bound"):
        Pool.uniform(np.array([], dtype=int)).pick(np.array([1], dtype=np.uint64))
