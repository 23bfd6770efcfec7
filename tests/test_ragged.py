from __future__ import annotations

import doctest

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark import ragged
from recsys_spark.ragged import padded


def test_the_examples_of_its_docstring():
    assert doctest.testmod(ragged).failed == 0


@given(st.lists(st.lists(st.integers(0, 99), max_size=6), max_size=5), st.none() | st.integers(0, 8), st.booleans())
def test_padded_lists_are_the_lists_one_by_one(lists, most, in_front):
    width = max([len(each) for each in lists], default=0) if most is None else most
    expected = np.full((len(lists), width), -1)
    for row, each in enumerate(lists):
        for place in range(min(len(each), width)):
            if in_front:
                expected[row, width - 1 - place] = each[len(each) - 1 - place]
            else:
                expected[row, place] = each[place]
    values = np.array([item for each in lists for item in each], np.int32)
    found = padded(np.array([len(each) for each in lists], np.int64), values, most, in_front)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
