"""Divergences of histograms against scipy and a loop, and how small groups are put together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import entropy

from recsys_spark.monitoring.drift import divergences, grouped, score_drift

COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12)


@given(COUNTS.filter(lambda bins: sum(one for one, _ in bins) > 0 and sum(other for _, other in bins) > 0))
@settings(max_examples=100, deadline=None)
def test_they_are_those_of_a_loop_and_of_entropies(bins):
    reference, now = (list(each) for each in zip(*bins, strict=True))
    psi, js = (figure.value for figure in divergences("feature", "x", (reference, now)))
    expected = 0.0
    for one, other in bins:
        p = (other + 0.5) / (sum(now) + 0.5 * len(bins))
        q = (one + 0.5) / (sum(reference) + 0.5 * len(bins))
        expected += rel_entr(p, q) + rel_entr(q, p)
    assert psi == pytest.approx(expected, abs=1e-9)
    p, q = ([count / sum(each) for count in each] for each in (now, reference))
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    assert js == pytest.approx(entropy(middle, base=2) - (entropy(p, base=2) + entropy(q, base=2)) / 2, abs=1e-7)
    assert 0.0 <= js <= 1.0 + 1e-9 and psi >= 0.0


def test_an_empty_side_has_no_figures():
    assert divergences("feature", "x", ([], [])) == divergences("feature", "x", ([3, 4], [0, 0])) == []


def test_the_same_shares_have_not_moved():
    psi, js = divergences("score", "", ([50, 30, 20], [500, 300, 200]))
    assert (psi.metric, psi.n, js.metric) == ("score_psi", 1000, "score_js")
    assert js.value == pytest.approx(0.0, abs=1e-12) and psi.value < 1e-4


def test_scores_of_fallback_do_not_count_whatever_its_reason(spark):
    def lists(fallback: float):
        rows = [(0.1 * place, "model", ["model"]) for place in range(1, 11)]
        rows += [(fallback, "recent_popular", ["recent_popular", "popular"]), (fallback, "repeat", ["popular"])]
        return spark.createDataFrame(rows, "score double, reason_code string, sources array<string>")

    psi, _ = score_drift(lists(0.05), lists(50.0), by_same_model=True, limit=1 << 20)
    assert (psi.n, psi.value) == (10, pytest.approx(0.0, abs=1e-12))


def test_small_groups_are_one():
    counts = {"a": (60, 1), "b": (38, 2), "tiny": (1, 3), "small": (1, 0), "new": (0, 4)}
    assert grouped(counts) == ([60, 38, 2], [1, 2, 7])
    many = {f"g{n:02d}": (100 - n, n) for n in range(25)}
    reference, now = grouped(many)
    assert len(reference) == 21 and reference[-1] == sum(100 - n for n in range(20, 25))
    assert now[-1] == sum(range(20, 25)) and math.isclose(sum(reference), sum(100 - n for n in range(25)))
