"""Ranking metrics: numbers by hand, every order of ties by brute force, and independent implementations."""

from __future__ import annotations

import doctest
import math
from itertools import pairwise, permutations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from recsys_spark import ranking
from recsys_spark.ranking import measure, metrics, place, place_targets, top_k

KS = [1, 2, 3, 5]


@st.composite
def lists(draw: st.DrawFn, most: int = 6, levels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """One user's scores, few levels so that they tie, some of them no candidates, and at least one target."""
    n = draw(st.integers(1, most))
    level = st.one_of(st.integers(0, levels - 1).map(float), st.just(-np.inf))
    scores = np.array([draw(st.lists(level, min_size=n, max_size=n))])
    relevant = np.array([draw(st.lists(st.booleans(), min_size=n, max_size=n))])
    relevant[0, draw(st.integers(0, n - 1))] = True
    return scores, relevant


def plain_metrics(ranked: list[bool], n_relevant: int, k: int) -> dict[str, float]:
    """The textbook formulas for one list without ties, position by position."""
    top = ranked[:k]
    hits = [p for p, rel in enumerate(top, start=1) if rel]
    return {
        "hr": float(bool(hits)),
        "precision": len(hits) / k,
        "recall": len(hits) / n_relevant,
        "ndcg": sum(1 / math.log2(p + 1) for p in hits)
        / sum(1 / math.log2(p + 1) for p in range(1, min(k, n_relevant) + 1)),
        "mrr": 1 / hits[0] if hits else 0.0,
        "map": sum((nth + 1) / p for nth, p in enumerate(hits)) / min(k, n_relevant),
        "map_cut": sum((nth + 1) / p for nth, p in enumerate(hits)) / n_relevant,
    }


def expected_over_orders(scores: np.ndarray, relevant: np.ndarray, k: int) -> dict[str, float]:
    """The mean of the textbook formulas over every order that the scores allow."""
    candidates = [i for i in range(len(scores)) if scores[i] > -np.inf]
    orders = [order for order in permutations(candidates) if all(scores[a] >= scores[b] for a, b in pairwise(order))]
    each = [plain_metrics([bool(relevant[i]) for i in order], int(relevant.sum()), k) for order in orders]
    return {name: sum(figures[name] for figures in each) / len(each) for name in each[0]}


def test_docstrings() -> None:
    assert doctest.testmod(ranking).failed == 0


def test_by_hand() -> None:
    # ranked: b (relevant), d, a (relevant), c
    scores = np.array([[2.0, 4.0, 1.0, 3.0]])
    relevant = np.array([[True, True, False, False]])
    figures = measure(place(scores, relevant), [1, 2, 3])
    assert figures["hr", 1] == 1.0
    assert figures["precision", 2] == 0.5
    assert_allclose(figures["precision", 3], 2 / 3)
    assert figures["recall", 2] == 0.5
    assert_allclose(figures["ndcg", 3], (1 + 1 / 2) / (1 + 1 / math.log2(3)))
    assert figures["mrr", 3] == 1.0
    assert_allclose(figures["map", 3], (1 + 2 / 3) / 2)
    assert figures["map", 1] == 1.0
    assert_allclose(figures["auc", None], 3 / 4)


def test_a_tie_across_the_cut_by_hand() -> None:
    # position 1 is irrelevant, 2 to 4 are tied and hold one relevant item
    scores = np.array([[9.0, 5.0, 5.0, 5.0]])
    relevant = np.array([[False, True, False, False]])
    figures = measure(place(scores, relevant), [1, 3])
    assert figures["hr", 1] == 0.0
    assert_allclose(figures["hr", 3], 2 / 3)
    assert_allclose(figures["recall", 3], 2 / 3)
    assert_allclose(figures["mrr", 3], (1 / 2 + 1 / 3) / 3)
    assert_allclose(figures["ndcg", 3], (1 / math.log2(3) + 1 / 2) / 3)
    assert_allclose(figures["auc", None], 1 / 3)


@settings(max_examples=200, deadline=None)
@given(lists(), st.sampled_from(KS))
def test_equals_the_mean_over_every_order_of_the_ties(one_list: tuple[np.ndarray, np.ndarray], k: int) -> None:
    scores, relevant = one_list
    figures = measure(place(scores, relevant), [k])
    for name, value in expected_over_orders(scores[0], relevant[0], k).items():
        assert_allclose(figures[name, k], [value], atol=1e-12, err_msg=name)


@settings(max_examples=200, deadline=None)
@given(lists(most=12))
def test_properties(one_list: tuple[np.ndarray, np.ndarray]) -> None:
    scores, relevant = one_list
    figures = measure(place(scores, relevant), KS)
    for metric, (value,) in figures.items():
        assert math.isnan(value) or -1e-12 <= value <= 1 + 1e-12, metric
    for k in KS:
        assert figures["mrr", k] <= figures["hr", k] + 1e-12
        if relevant.sum() == 1:
            assert figures["mrr", k] <= figures["ndcg", k] + 1e-12
    for smaller, larger in pairwise(KS):
        assert figures["hr", smaller] <= figures["hr", larger] + 1e-12
        assert figures["recall", smaller] <= figures["recall", larger] + 1e-12


@settings(max_examples=50, deadline=None)
@given(lists(most=12), st.randoms(use_true_random=False))
def test_the_order_of_the_columns_does_not_matter(one_list: tuple[np.ndarray, np.ndarray], random) -> None:
    scores, relevant = one_list
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    straight = measure(place(scores, relevant), KS)
    shuffled = measure(place(scores[:, order], relevant[:, order]), KS)
    for metric in metrics(KS):
        assert_allclose(straight[metric], shuffled[metric], err_msg=str(metric))


@pytest.mark.parametrize(("n", "relevant"), [(10, 1), (100, 1), (40, 7), (5, 5)])
def test_a_constant_scorer_gets_what_chance_gives(n: int, relevant: int) -> None:
    figures = measure(place(np.zeros((1, n)), np.arange(n)[None, :] < relevant), [10])
    k = min(10, n)
    chance = relevant / n
    discount = sum(1 / math.log2(p + 1) for p in range(1, k + 1))
    ideal = sum(1 / math.log2(p + 1) for p in range(1, min(10, relevant) + 1))
    assert_allclose(figures["hr", 10], 1 - math.comb(n - relevant, k) / math.comb(n, k))
    assert_allclose(figures["precision", 10], chance * k / 10)
    assert_allclose(figures["recall", 10], k / n)
    assert_allclose(figures["ndcg", 10], chance * discount / ideal)
    if relevant == 1:
        assert_allclose(figures["mrr", 10], sum(1 / p for p in range(1, k + 1)) / n)
        assert_allclose(figures["map", 10], sum(1 / p for p in range(1, k + 1)) / n)
    if relevant < n:
        assert_allclose(figures["auc", None], 0.5)
    else:
        assert np.isnan(figures["auc", None])


def test_agrees_with_trec_eval() -> None:
    random = np.random.default_rng(1)
    scores = random.permutation(60 * 40).reshape(60, 40).astype(np.float32)
    relevant = random.random((60, 40)) < 0.15
    relevant[:, 0] = True
    judged = {f"u{u}": {f"i{i}": int(relevant[u, i]) for i in range(40)} for u in range(60)}
    ranked = {f"u{u}": {f"i{i}": float(scores[u, i]) for i in range(40)} for u in range(60)}
    names = {"success": "hr", "P": "precision", "recall": "recall", "ndcg_cut": "ndcg", "map_cut": "map_cut"}
    measures = {f"{name}.1,5,10" for name in names} | {"recip_rank"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(ranked)
    ours = measure(place(scores, relevant), [1, 5, 10, 40])
    total = relevant.sum(axis=1)
    for name, our_name in names.items():
        for k in (1, 5, 10):
            expected = np.array([theirs[f"u{u}"][f"{name}_{k}"] for u in range(60)])
            assert_allclose(ours[our_name, k], expected, atol=1e-12, err_msg=f"{name}@{k}")
            if name == "map_cut":
                assert_allclose(ours["map", k], expected * total / np.minimum(total, k), atol=1e-12)
    assert_allclose(ours["mrr", 40], [theirs[f"u{u}"]["recip_rank"] for u in range(60)], atol=1e-12)


def test_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(2)
    scores, relevant = random.random((30, 50)), random.random((30, 50)) < 0.2
    relevant[:, :2] = [True, False]
    ours = measure(place(scores, relevant), [10, 50])
    for u in range(30):
        assert_allclose(ours["auc", None][u], roc_auc_score(relevant[u], scores[u]))
        assert_allclose(ours["map", 50][u], average_precision_score(relevant[u], scores[u]))
        assert_allclose(ours["ndcg", 10][u], ndcg_score(relevant[u : u + 1], scores[u : u + 1], k=10))


def test_ties_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(3)
    scores, relevant = random.integers(0, 4, (30, 50)).astype(float), random.random((30, 50)) < 0.2
    relevant[:, :2] = [True, False]
    ours = measure(place(scores, relevant), [10])
    for u in range(30):
        assert_allclose(ours["auc", None][u], roc_auc_score(relevant[u], scores[u]))
        assert_allclose(ours["ndcg", 10][u], ndcg_score(relevant[u : u + 1], scores[u : u + 1], k=10))


def test_users_with_many_targets_are_counted_as_those_with_few() -> None:
    random = np.random.default_rng(4)
    scores = random.integers(0, 50, (3, 400)).astype(np.float32)
    scores[:, :30] = -np.inf
    users, items = (
        np.repeat([0, 1, 2], [200, 2, 40]),
        np.concatenate([random.permutation(400)[:n] for n in (200, 2, 40)]),
    )
    placed = place_targets(scores, users, items)
    for target, (user, item) in enumerate(zip(users, items, strict=True)):
        own = scores[user, item]
        ranked = own > -np.inf
        assert placed.above[target] == (np.sum(scores[user] > own) if ranked else 0)
        assert placed.equal[target] == (np.sum(scores[user] == own) if ranked else 0)


def test_a_target_that_is_never_ranked_counts_in_the_divisors() -> None:
    # of three targets one leads, one is no candidate, and one has no column
    scores = np.array([[3.0, -np.inf, 1.0]])
    placed = place_targets(scores, np.array([0, 0, 0]), np.array([0, 1, 7]))
    figures = measure(placed, [2])
    assert_allclose(figures["recall", 2], 1 / 3)
    assert_allclose(figures["ndcg", 2], 1 / (1 + 1 / math.log2(3)))
    assert_allclose(figures["map", 2], 1 / 2)
    assert_allclose(figures["auc", None], 1 / 3)


def test_only_some_targets() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    placed = place_targets(scores, np.array([0, 0, 1]), np.array([0, 2, 0]))
    of_tail = placed.only(np.array([False, True, False]))
    assert_allclose(measure(of_tail, [3])["mrr", 3], [1 / 3, np.nan])


def test_a_user_without_targets_has_no_figures() -> None:
    figures = measure(place(np.array([[1.0, 2.0]]), np.array([[False, False]])), [1])
    assert all(np.isnan(values).all() for values in figures.values())


def test_nan_scores_raise() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 users hold NaN, the first in row 1"):
        place(np.array([[1.0, 2.0], [np.nan, 1.0]]), np.array([[True, False], [True, False]]))


def test_shapes_that_differ_raise() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2\).*\(1, 3\)"):
        place(np.zeros((1, 2)), np.zeros((1, 3), bool))


def test_a_target_given_twice_raises() -> None:
    with pytest.raises(ValueError, match="given twice"):
        measure(place_targets(np.array([[1.0, 2.0]]), np.array([0, 0]), np.array([1, 1])), [1])


@settings(max_examples=50, deadline=None)
@given(lists(most=12), st.integers(1, 15))
def test_top_k_is_the_head_of_a_stable_sort(one_list: tuple[np.ndarray, np.ndarray], k: int) -> None:
    scores, _ = one_list
    order = [i for i in np.argsort(-scores[0], kind="stable") if scores[0, i] > -np.inf]
    assert top_k(scores, k)[0].tolist() == (order + [-1] * k)[:k]
