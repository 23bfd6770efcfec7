from __future__ import annotations

import numpy as np
import pyarrow as pa

from recsys_spark.recommend.barring import Barred, Catalogue, nothing_for, ragged_of, within

# item 1 is unavailable, item 2 is under the first rule, item 3 under both
CATALOGUE = Catalogue(np.array([0, 2, 0, 0, 0], np.uint8), np.array([0, 0, 1, 3, 0]))
EVERYTHING = np.tile(np.arange(5, dtype=np.int32), (3, 1))


def barred(seen=None):
    """User 0 is under no rule, user 1 under the first, user 2 under the second and may never have item 4."""
    return Barred(CATALOGUE, np.array([0, 1, 2]), (np.array([0, 0, 0, 1]), np.array([4], np.int32)), seen)


def test_what_the_catalogue_rules_and_pairs_leave():
    allowed = barred().allows(EVERYTHING)
    assert [np.flatnonzero(row).tolist() for row in allowed] == [[0, 2, 3, 4], [0, 4], [0, 2]]


def test_what_was_seen_is_out_unless_it_may_come_again():
    with_seen = barred((np.array([0, 2, 2, 2]), np.array([0, 1], np.int32)))
    assert np.flatnonzero(with_seen.allows(EVERYTHING)[0]).tolist() == [2, 3, 4]
    assert np.flatnonzero(with_seen.allows(EVERYTHING, seen_too=True)[0]).tolist() == [0, 2, 3, 4]


def test_the_lists_that_a_model_leaves_out_say_the_same():
    seen = np.array([0, 2, 2, 2]), np.array([0, 1], np.int32)
    indptr, items = barred(seen).lists(np.array([2, 0]))
    assert sorted(set(items[indptr[0] : indptr[1]].tolist())) == [1, 3, 4]
    assert sorted(set(items[indptr[1] : indptr[2]].tolist())) == [0, 1]
    assert Barred(Catalogue.open(), np.zeros(2, np.int64), nothing_for(2), None).lists(np.array([0, 1])) is None


def test_one_item_at_a_time_says_the_same():
    users, allowed = barred(), barred().allows(EVERYTHING)
    assert [[users.allows_of(row, item) for item in range(5)] for row in range(3)] == allowed.tolist()


def test_no_item_is_within_nothing():
    items = np.array([[2, -1], [-1, 2]], np.int32)
    assert within(items, (np.array([0, 1, 2]), np.array([2, 5], np.int32))).tolist() == [[True, False], [False, False]]


def test_list_columns_may_be_sliced_and_null():
    column = pa.array([[9], [1, 2], None, [3]], pa.list_(pa.int32())).slice(1)
    indptr, values = ragged_of(column)
    assert indptr.tolist() == [0, 2, 2, 3] and values.tolist() == [1, 2, 3]
