"""Caps and shares by hand, and the recorded probabilities held against all that can happen."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.recommend.constrained import Dice, Limits, exposure_weights, fill


def filled(category, groups, limits, users=1, there=None, seed=0, day=0):
    """The same candidates for each of so many users."""
    size = len(category)
    there = np.ones(size, bool) if there is None else np.array(there)
    rows = [np.tile(np.asarray(of), (users, 1)) for of in (there, category, groups)]
    return fill(*rows, limits, Dice(seed, day, np.arange(users)))


NONE = [-1] * 6


def test_a_cap_passes_over_what_is_too_much():
    picked, chances = filled([7, 7, 7, 8, -1, -1], NONE, Limits(np.ones(5), cap=2))
    assert picked.tolist() == [[0, 1, 3, 4, 5]]
    assert chances.tolist() == [[1.0] * 5]


def test_a_cap_gives_way_where_the_list_would_stay_short():
    picked, _ = filled([7, 7, 7, 7, 8, 8], NONE, Limits(np.ones(5), cap=1))
    assert picked.tolist() == [[0, 4, 1, 2, 3]]
    picked, _ = filled(
        [7, 7, 7, 7, 8, 8], NONE, Limits(np.ones(5), cap=1), there=[True, True, True, False, False, False]
    )
    assert picked.tolist() == [[0, 1, 2, -1, -1]]


def test_places_for_a_group():
    # a half of each two places; the group's own stand last
    groups = [-1, -1, -1, -1, 0, 0]
    picked, _ = filled(NONE, groups, Limits(np.ones(4), least=(0.5,), whole=True))
    assert picked.tolist() == [[0, 4, 1, 5]]
    # a quarter of five places is two, and the pace of 1/4 brings one: the last place comes in time
    picked, _ = filled(NONE, groups, Limits(np.ones(5), least=(0.25,), whole=True))
    assert picked.tolist() == [[0, 1, 2, 4, 5]]
    # what is not there cannot be shown
    picked, _ = filled(NONE, NONE, Limits(np.ones(4), least=(0.5,), whole=True))
    assert picked.tolist() == [[0, 1, 2, 3]]


def test_exposure_for_a_group():
    weights = exposure_weights(4)
    np.testing.assert_allclose(weights, [1, 1 / math.log2(3), 0.5, 1 / math.log2(5)])
    # 0.4 of the exposure up to place 2 is 0.652, which place 2 alone does not go beyond: 0.631; up to place 4 it is 1.025
    picked, _ = filled(NONE, [-1, -1, -1, -1, 0, 0], Limits(weights, least=(0.4,)))
    assert picked.tolist() == [[0, 4, 1, 5]]
    assert weights[1] + weights[3] >= 0.4 * weights.sum()


def test_a_cap_holds_for_a_groups_items_too():
    # the group's first two are of a category that is full; its third is not
    groups, category = [-1, -1, 0, 0, -1, 0], [7, 7, 7, 7, -1, 8]
    picked, _ = filled(category, groups, Limits(np.ones(4), cap=2, least=(0.25,), whole=True))
    assert picked.tolist() == [[0, 1, 4, 5]]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_shares_and_caps_hold_whatever_is_explored(data):
    size, n = data.draw(st.integers(8, 20)), data.draw(st.integers(1, 8))
    groups = np.array(data.draw(st.lists(st.integers(-1, 1), min_size=size, max_size=size)))
    category = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size)))
    cap = data.draw(st.integers(0, 3))
    least = (data.draw(st.sampled_from([0.0, 0.2, 0.5])), data.draw(st.sampled_from([0.0, 0.3])))
    whole = data.draw(st.booleans())
    weights = np.ones(n) if whole else exposure_weights(n)
    epsilon, explored = data.draw(st.sampled_from([0.0, 0.5, 1.0])), data.draw(st.integers(0, n))
    limits = Limits(weights, cap, least, whole, epsilon, explored)
    for own, chances in zip(*filled(category, groups, limits, users=3), strict=True):
        assert len(set(own)) == n
        assert ((own >= 0) & (own < size)).all()
        assert ((chances > 0) & (chances <= 1)).all()
        most = max(Counter(category[own][category[own] >= 0]).values(), default=0)
        room = sum(min(cap, (category == code).sum()) for code in range(4)) + (category == -1).sum()
        assert not cap or most <= cap or room < n
        for group, share in enumerate(least):
            given_ = weights[groups[own] == group].sum()
            need = math.ceil(share * n - 1e-9) if whole else share * weights.sum()
            enough = (groups == group).sum() >= n and not cap
            alone = sum(each > 0 for each in least) == 1
            fits = whole and sum(math.ceil(each * n - 1e-9) for each in least) <= n
            if share and enough and (alone or fits) and all((groups == g).sum() >= n for g in range(2) if least[g]):
                assert given_ >= need - 1e-9


def chances_of_lists(size, n, explored, epsilon, category, cap):
    """Every list that can be, with its exact probability and those of its places, by walking through all of them."""

    def allowed(prefix):
        left = [i for i in range(size) if i not in prefix]
        below = [i for i in left if not cap or sum(category[j] == category[i] for j in prefix) < cap]
        return below or left

    lists = {(): (Fraction(1), ())}
    for place in range(n):
        longer = {}
        for prefix, (chance, each) in lists.items():
            open_ = allowed(prefix)
            for i in open_:
                if place < n - explored:
                    own = Fraction(int(i == open_[0]))
                else:
                    own = epsilon / len(open_) + (1 - epsilon) * int(i == open_[0])
                if own:
                    longer[(*prefix, i)] = (chance * own, (*each, float(own)))
        lists = longer
    return lists


def test_recorded_probabilities_are_those_of_all_that_can_happen():
    category, users = [0, 0, 0, 1, 1], 40_000
    lists = chances_of_lists(5, 3, 2, Fraction(1, 2), category, cap=2)
    assert sum(chance for chance, _ in lists.values()) == 1
    limits = Limits(np.ones(3), cap=2, epsilon=0.5, explored=2)
    picked, chances = filled(category, [-1] * 5, limits, users=users, seed=11)
    seen = Counter(map(tuple, picked.tolist()))
    assert set(seen) == set(lists)
    for own, (chance, _) in lists.items():
        # five standard deviations
        expected = float(chance)
        assert abs(seen[own] / users - expected) < 5 * math.sqrt(expected * (1 - expected) / users)
    first = {own: np.flatnonzero((picked == own).all(axis=1))[0] for own in lists}
    for own, (_, each) in lists.items():
        np.testing.assert_allclose(chances[first[own]], each, rtol=1e-12)


def test_logs_tell_what_another_policy_would_have_got():
    """Inverse propensity scoring: what the best item would get if it always stood at the last place, from logs of exploration."""
    reward = np.array([0.1, 0.9, 0.3, 0.7, 0.5])  # of each item at the last place
    picked, chances = filled([-1] * 5, [-1] * 5, Limits(np.ones(2), epsilon=0.4, explored=1), users=50_000, seed=3)
    assert set(picked[:, 0]) == {0}
    for item in (1, 3, 4):  # 1 is the policy's own choice
        estimate = (reward[picked[:, 1]] * (picked[:, 1] == item) / chances[:, 1]).mean()
        assert estimate == pytest.approx(reward[item], rel=0.06)
    # and of the policy that shows each of the four left alike, the mean of their rewards
    evenly = (reward[picked[:, 1]] * 0.25 / chances[:, 1]).mean()
    assert evenly == pytest.approx((0.9 + 0.3 + 0.7 + 0.5) / 4, rel=0.03)


def test_draws_hang_on_seed_day_user_and_place_alone():
    limits = Limits(np.ones(4), epsilon=0.7, explored=4)
    one, _ = filled([-1] * 9, [-1] * 9, limits, users=50, seed=1, day=5)
    again, _ = filled([-1] * 9, [-1] * 9, limits, users=80, seed=1, day=5)
    np.testing.assert_array_equal(one, again[:50])
    for seed, day in ((2, 5), (1, 6)):
        other, _ = filled([-1] * 9, [-1] * 9, limits, users=50, seed=seed, day=day)
        assert (one != other).any(axis=1).mean() > 0.5
