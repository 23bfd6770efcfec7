"""Gini, Lorenz and quantiles from counts of counts, against sums over every single item."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.explore.groups import Frequencies
from recsys_spark.explore.tail import gini, lengths, quantiles, share_of_top, tail

counts = st.lists(st.integers(1, 60), min_size=1, max_size=40)


def counted(values: list[int]) -> Frequencies:
    return Frequencies(*np.unique(np.array(values), return_counts=True))


@given(counts)
def test_the_gini_index_is_the_mean_difference_over_twice_the_mean(values):
    one, other = np.meshgrid(values, values)
    assert gini(counted(values)) == pytest.approx(np.abs(one - other).mean() / (2 * np.mean(values)), abs=1e-12)


@given(counts, st.integers(0, 40))
def test_the_share_of_whole_items_is_the_sum_of_the_largest(values, n):
    n = min(n, len(values))
    expected = sum(sorted(values, reverse=True)[:n]) / sum(values)
    assert share_of_top(counted(values), n / len(values)) == pytest.approx(expected)


@given(counts)
def test_quantiles_are_those_of_the_sorted_values(values):
    expected = np.percentile(values, [5, 25, 50, 75, 95], method="inverted_cdf")
    assert list(quantiles(counted(values)).values()) == expected.tolist()


def test_figures_of_a_tail_by_hand():
    found = {entry[1:4]: entry.value for entry in tail(counted([1, 1, 2, 6]), "items")}
    assert found["summary", "items", "n"] == 4 and found["summary", "items", "with_one_event"] == 2
    assert found["items", "0.5", "share"] == pytest.approx(0.8)  # (6 + 2) / 10
    assert found["items", "0.1", "share"] == pytest.approx(0.24)  # 0.4 of the largest item
    assert found["items", "1", "share"] == 1.0


def test_lengths_fall_into_classes_that_double():
    found = [entry for entry in lengths(counted([1, 2, 3, 3, 8])) if not entry.series]
    assert {(entry.label, entry.statistic): entry.value for entry in found} == {
        ("1", "users"): 1, ("1", "events"): 1,
        ("2-3", "users"): 3, ("2-3", "events"): 8,
        ("4-7", "users"): 0, ("4-7", "events"): 0,
        ("8-15", "users"): 1, ("8-15", "events"): 8,
    }  # fmt: skip
