"""MMR and DPP beside plain Python that does each step the long way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.recommend.diversity import ByCategory, ByVectors, dpp, mmr, within_reach


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def half_cosine(vectors):
    return (1.0 + vectors.astype(float) @ vectors.astype(float).T) / 2.0


def slow_mmr(relevance, alike, n, share):
    left, picked = list(range(len(relevance))), []
    while left and len(picked) < n:
        value = {i: share * relevance[i] - (1 - share) * max([alike[i][j] for j in picked], default=0.0) for i in left}
        picked.append(max(left, key=lambda i: value[i]))
        left.remove(picked[-1])
    return picked


def slow_dpp(relevance, alike, n, share):
    """The determinant of every possible next set, from scratch."""
    kernel = 0.99 * np.asarray(alike, float)
    np.fill_diagonal(kernel, 1.0)
    quality = np.exp(share / (2 * (1 - share)) * np.asarray(relevance, float))
    kernel = quality[:, None] * kernel * quality[None, :]
    left, picked = list(range(len(relevance))), []
    while left and len(picked) < n:
        value = {i: np.linalg.slogdet(kernel[np.ix_([*picked, i], [*picked, i])])[1] for i in left}
        picked.append(max(left, key=lambda i: value[i]))
        left.remove(picked[-1])
    return picked


def test_mmr_by_hand():
    # after item 0 of category 7: item 1 is worth 0.5 * 0.9 - 0.5 and item 2 only 0.5 * 0.4
    likeness = ByCategory(np.array([[7, 7, 8, -1]]))
    relevance = np.array([[1.0, 0.9, 0.4, 0.3]], np.float32)
    assert mmr(relevance, likeness, 4, 0.5).tolist() == [[0, 2, 3, 1]]
    # at lambda 0.9 it is 0.81 - 0.1 = 0.71 and 0.36
    assert mmr(relevance, likeness, 4, 0.9).tolist() == [[0, 1, 2, 3]]


def test_dpp_by_hand():
    # after item 0: its variance leaves 1 - 0.99 ** 2 = 0.0199 for item 1 and 1 for item 2; e ** 0.9 * 0.0199 < e ** 0.4
    likeness = ByCategory(np.array([[7, 7, 8]]))
    relevance = np.array([[1.0, 0.9, 0.4]], np.float32)
    assert dpp(relevance, likeness, 3, 0.5).tolist() == [[0, 2, 1]]
    # what relevance is worth: 0.5 * share / (1 - share) more than log(1 / 0.0199) = 3.917, from share 0.887 on
    assert dpp(relevance, ByCategory(np.array([[7, 7, 8]])), 2, 0.88).tolist() == [[0, 2]]
    assert dpp(relevance, ByCategory(np.array([[7, 7, 8]])), 2, 0.895).tolist() == [[0, 1]]
    assert math.isclose(0.5 * 0.887 / 0.113, -math.log(1 - 0.99**2), rel_tol=0.01)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.95])
@pytest.mark.parametrize(("pick", "slow"), [(mmr, slow_mmr), (dpp, slow_dpp)])
def test_a_block_is_what_each_user_is_the_long_way(pick, slow, share):
    rng = np.random.default_rng(1)
    relevance = np.sort(rng.random((6, 25)), axis=1)[:, ::-1].astype(np.float32)
    vectors, codes = unit(rng, 6, 25, 5), rng.integers(-1, 6, (6, 25))
    by_vectors = pick(relevance, ByVectors(vectors), 12, share)
    by_category = pick(relevance, ByCategory(codes), 12, share)
    for user in range(6):
        assert by_vectors[user].tolist() == slow(relevance[user], half_cosine(vectors[user]), 12, share)
        same = (codes[user][:, None] == codes[user]) & (codes[user][:, None] >= 0)
        if share > 0.0:  # else many are equal to the last bit, and the two break ties by their own rounding
            assert by_category[user].tolist() == slow(relevance[user], same.astype(float), 12, share)


@pytest.mark.parametrize("pick", [mmr, dpp])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_candidate_is_picked_once_and_no_other(pick, data):
    candidates, n = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 15))
    many = np.array(data.draw(st.lists(st.integers(0, candidates), min_size=1, max_size=4)))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    relevance = rng.random((len(many), candidates)).astype(np.float32)
    relevance[np.arange(candidates) >= many[:, None]] = -np.inf
    picked = pick(relevance, ByVectors(unit(rng, len(many), candidates, 3)), n, data.draw(st.floats(0.0, 0.99)))
    for own, there in zip(picked, many, strict=True):
        found = own[own >= 0]
        assert len(set(found)) == len(found) == min(n, there)
        assert (found < there).all()
        assert (own[len(found) :] == -1).all()


def test_lists_longer_than_the_vectors_have_dimensions():
    rng = np.random.default_rng(2)
    vectors = unit(rng, 1, 40, 3)
    relevance = np.linspace(1, 0, 40, dtype=np.float32)[None]
    assert dpp(relevance, ByVectors(vectors), 40, 0.2)[0, :20].tolist() == slow_dpp(
        relevance[0], half_cosine(vectors[0]), 20, 0.2
    )
    assert sorted(dpp(relevance, ByVectors(vectors), 40, 0.2)[0]) == list(range(40))


@pytest.mark.parametrize("share", [0.2, 0.8])
@pytest.mark.parametrize(("pick", "slow"), [(mmr, slow_mmr), (dpp, slow_dpp)])
def test_users_with_few_candidates_beside_others_with_many(pick, slow, share):
    rng = np.random.default_rng(4)
    relevance = np.sort(rng.random((3, 200)), axis=1)[:, ::-1].astype(np.float32)
    relevance[1, 30:] = -np.inf
    vectors, codes = unit(rng, 3, 200, 6), rng.integers(-1, 30, (3, 200))
    by_vectors, by_category = (pick(relevance, alike, 40, share) for alike in (ByVectors(vectors), ByCategory(codes)))
    for user, many in enumerate((200, 30, 200)):
        same = (codes[user][:, None] == codes[user]) & (codes[user][:, None] >= 0)
        for made, alike in ((by_vectors, half_cosine(vectors[user])), (by_category, same.astype(float))):
            expected = slow(relevance[user][:many], alike[:many, :many], 40, share)
            assert made[user][: len(expected)].tolist() == expected
            assert (made[user][len(expected) :] == -1).all()


@pytest.mark.parametrize("pick", [mmr, dpp])
def test_of_equals_the_first_is_picked(pick):
    relevance = np.zeros((2, 150), np.float32)
    assert pick(relevance, ByCategory(np.full((2, 150), -1)), 70, 0.5).tolist() == [list(range(70))] * 2


@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([0.0, 0.5, 0.8, 0.95]))
@settings(deadline=None, max_examples=50)
def test_nothing_out_of_reach_is_ever_picked(seed, n, share):
    rng = np.random.default_rng(seed)
    relevance = -np.sort(-rng.beta(1.0, 4.0, (3, 40)).astype(np.float32), axis=1)
    relevance[0, 30:] = -np.inf
    vectors = unit(rng, 3, 40, 4)
    reach = within_reach(relevance, n, share)
    picked = mmr(relevance, ByVectors(vectors), n, share)
    assert picked.max() < reach <= 40
    assert mmr(relevance[:, :reach], ByVectors(vectors[:, :reach]), n, share).tolist() == picked.tolist()


def test_the_reach_by_hand():
    # 0.9 * 0.8 - 0.1 = 0.62, which 0.9 * 0.7 = 0.63 may come to and 0.9 * 0.6 = 0.54 may not
    relevance = np.array([[1.0, 0.8, 0.7, 0.6, 0.5]], np.float32)
    assert within_reach(relevance, 2, 0.9) == 3
    assert within_reach(relevance, 5, 0.9) == 5
    assert within_reach(relevance, 2, 0.5) == 5
