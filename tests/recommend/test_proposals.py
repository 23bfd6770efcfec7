from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.recommend.co_occurrence import together
from recsys_spark.recommend.fallback import Popular
from recsys_spark.recommend.proposals import Neighbours, Proposed, Ranked, joined, repeated


def ints(rows):
    return np.array(rows, np.int32)


def test_the_first_that_are_allowed():
    proposed = Proposed(ints([[4, 7, 9], [1, 2, -1]]), ints([[0, 1, 2], [3, -1, -1]]))
    first = proposed.first(np.array([[False, True, True], [True, False, False]]), 2)
    assert first.items.tolist() == [[7, 9], [1, -1]]
    assert first.because.tolist() == [[1, 2], [3, -1]]


def test_own_items_by_how_often_and_how_lately():
    # a half-life of 10 s, from second 100, the last: user 0 has 5 at 1 + 1/2, 3 at 1/4 + 1/4, 2 and 8 equal at 1/2
    own = np.array([0, 6, 6, 7]), ints([3, 3, 5, 8, 2, 5, 6])
    times = own[0], np.array([80, 80, 90, 90, 90, 100, 50])
    again = repeated(own, times, half_life=10.0)
    assert again.items.tolist() == [[5, 2, 3, 8], [-1] * 4, [6, -1, -1, -1]]
    assert (again.because == -1).all()


def test_the_order_of_own_items_is_that_of_every_later_date():
    # 20 half-lives between the two, and thousands between either and today: still the later one first
    own, times = (np.array([0, 2]), ints([2, 7])), (np.array([0, 2]), np.array([0, 20]))
    assert repeated(own, times, half_life=1.0).items.tolist() == [[7, 2]]


def test_neighbours_of_what_was_had_last():
    # 0 brings 2 (0.5) and 3 (0.4); 1 brings 2 (0.5) and 0 (0.3)
    table = Neighbours(
        ints([[2, 3], [2, 0], [-1, -1], [-1, -1]]), np.array([[0.5, 0.4], [0.5, 0.3], [0, 0], [0, 0]], np.float32)
    )
    found = table.for_users(ints([[-1, 0, 1], [-1, -1, 2], [-1, -1, 0]]))
    assert found.items.tolist() == [[2, 3, 0], [-1] * 3, [2, 3, -1]]
    assert found.because.tolist() == [[1, 0, 1], [-1] * 3, [0, 0, -1]]  # 2 comes from both alike: from the last


def test_what_users_of_a_segment_share():
    popular = Popular(ints([4, 5, 0, 1]), np.ones(4, np.float32), {"F": (ints([1, 4]), np.ones(2, np.float32))})
    shared = Ranked.of(popular, 3).for_users(["F", None, "unheard"])
    assert shared.items.tolist() == [[1, 4, 5], [4, 5, 0], [4, 5, 0]]


def test_sources_are_joined_in_their_order():
    model = Proposed.of(ints([[3, 1], [2, -1]]))
    others = Proposed(ints([[1, 5], [-1, 7]]), ints([[9, 8], [-1, 6]]))
    both = joined({4: others, 1: model}, users=2)
    assert both.items.tolist() == [[1, 5, 3], [7, 2, -1]]
    assert both.bits.tolist() == [[5, 4, 1], [4, 1, -1]]
    assert both.because.tolist() == [[9, 8, -1], [6, -1, -1]]


lists_of_items = st.lists(st.lists(st.integers(0, 8), max_size=6, unique=True), min_size=1, max_size=6)


@given(lists_of_items)
def test_users_of_two_items(lists):
    expected = Counter((one, other) for own in lists for one in own for other in own)
    items, others, users = together([ints(own) for own in lists])
    assert dict(zip(zip(items.tolist(), others.tolist(), strict=True), users.tolist(), strict=True)) == expected


@given(st.lists(lists_of_items.map(lambda rows: (rows * 3)[:3]), min_size=1, max_size=3))
def test_a_joined_item_stands_once_with_all_its_sources(sources):
    width = 6
    proposed = {
        1 << place: Proposed.of(ints([row + [-1] * (width - len(row)) for row in rows]))
        for place, rows in enumerate(sources)
    }
    both = joined(proposed, users=3)
    for user in range(3):
        bits_of = defaultdict(int)
        for place, rows in enumerate(sources):
            for item in rows[user]:
                bits_of[item] |= 1 << place
        found = [item for item in both.items[user].tolist() if item >= 0]
        assert dict(zip(found, both.bits[user].tolist(), strict=False)) == bits_of
        assert len(found) == len(set(found)) and found == list(bits_of)
