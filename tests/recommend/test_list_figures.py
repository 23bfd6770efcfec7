from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from recsys_spark.recommend.list_figures import category_diversity, gini, list_ndcg, vector_diversity


def test_ndcg_of_lists_by_hand():
    items = np.array([[4, 2, 9], [1, 3, -1], [5, 6, 7]])
    targets = np.array([[9, 4, 8, 0], [2, -1, -1, -1], [-1, -1, -1, -1]])
    second, third = 1 / math.log2(3), 0.5
    # targets at places 1 and 3, of four; a perfect list of three has three
    expected = [(1 + third) / (1 + second + third), 0.0, math.nan]
    np.testing.assert_allclose(list_ndcg(items, targets, 3), expected)


def test_diversities_are_means_over_the_pairs():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3, 6, 4))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    codes = rng.integers(-1, 3, (3, 6))
    there = np.arange(6) < np.array([[6], [4], [1]])
    for user, many in ((0, 6), (1, 4)):
        pairs = list(combinations(range(many), 2))
        apart = np.mean([1 - vectors[user, i] @ vectors[user, j] for i, j in pairs])
        assert vector_diversity(vectors, there)[user] == pytest.approx(apart)
        differ = np.mean([codes[user, i] != codes[user, j] or codes[user, i] < 0 for i, j in pairs])
        assert category_diversity(codes, there)[user] == pytest.approx(differ)
    assert np.isnan(vector_diversity(vectors, there)[2])
    assert np.isnan(category_diversity(codes, there)[2])


def test_gini_is_half_the_relative_mean_difference():
    amounts = np.array([3.0, 0.0, 1.0, 6.0, 2.0])
    mean_difference = np.mean([abs(a - b) for a in amounts for b in amounts])
    assert gini(amounts) == pytest.approx(mean_difference / (2 * amounts.mean()))
    assert gini(np.zeros(3)) != gini(np.zeros(3))
