"""Windows of sequences: what is cut, and where each item of a basket is read at."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.examples.windows import read_at, train_windows, windows_of
from recsys_spark.schemas import SEQUENCES

DAY = date(2024, 5, 1)


def sequences(spark, *users):
    """Rows of `sequences`: (items, times) of users 0, 1, ..."""
    rows = [(DAY, "evaluate", user, items, times, len(items)) for user, (items, times) in enumerate(users)]
    return spark.createDataFrame(rows, SEQUENCES.schema)


@given(items=st.integers(0, 60), length=st.integers(1, 12), most=st.integers(1, 8))
def test_each_item_kept_but_a_users_first_is_predicted_once(items, length, most):
    windows = list(windows_of(items, length, most))
    predicted = [place for window in windows for place in range(items)[window][1:]]
    assert len(windows) <= most and all(2 <= len(range(items)[window]) <= length + 1 for window in windows)
    assert sorted(predicted) == list(range(items - len(predicted), items)) == sorted(set(predicted))
    assert len(predicted) == max(0, min(items - 1, most * length))


@given(baskets=st.lists(st.integers(1, 5), max_size=20), length=st.integers(5, 12))
def test_each_item_after_a_users_first_basket_is_predicted_once(baskets, length):
    """Baskets of at most `length` items, so that each fits into a window with an item before it."""
    times = np.repeat(np.arange(len(baskets)), baskets)
    predicted = []
    for window in windows_of(len(times), length, 100, times):
        predicted += [
            place
            for place, read in zip(range(window.start + 1, window.stop), read_at(times, window), strict=True)
            if read >= 0
        ]
    assert sorted(predicted) == list(range(baskets[0] if baskets else 0, len(times)))


@given(moments=st.lists(st.integers(0, 5), min_size=2, max_size=20), cut=st.integers(0, 5))
def test_a_basket_is_read_from_the_latest_item_before_it(moments, cut):
    times = np.sort(np.array(moments, np.int64))
    own = times[cut:]
    if len(own) < 2:
        return
    expected = [max([j for j in range(place) if own[j] < own[place]], default=-1) for place in range(1, len(own))]
    assert read_at(times, slice(cut, len(times))).tolist() == expected


@pytest.mark.parametrize("baskets", [False, True])
def test_windows_are_packed_with_where_their_items_are_read_at(spark, baskets):
    users = (([5, 6, 7, 8], [10, 20, 20, 30]), ([1, 2], [5, 5]), ([3], [1]))
    cut = sequences(spark, *users).transform(train_windows(DAY, "evaluate", 2, 5, 1, baskets=baskets))
    found = {}
    for row in cut.collect():
        read = None if row["read_at"] is None else np.frombuffer(row["read_at"], "<i4").tolist()
        found[row["user_idx"], tuple(np.frombuffer(row["window"], "<i4").tolist())] = (row["length"], read)
    if baskets:
        # 6 and 7 were taken together: neither is learnt from the other, both from 5, and 8 from both; 1 and 2 have nothing
        # they could be learnt from
        assert found == {(0, (6, 7, 8)): (3, [-1, 1]), (0, (5, 6, 7)): (3, [0, 0])}
    else:
        assert found == {(0, (6, 7, 8)): (3, None), (0, (-1, 5, 6)): (2, None), (1, (-1, 1, 2)): (2, None)}
