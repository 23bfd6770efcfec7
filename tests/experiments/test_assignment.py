"""Who gets which variant: alike in Spark, Python and DuckDB, and nobody moves."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from recsys_spark.experiments.assignment import place, share, variant, variant_of
from tests.experiments.settings import experiment

USERS = [f"u{number}" for number in range(20_000)]
SPLIT = {"control": 0.5, "first": 0.3, "second": 0.2}
BASE = experiment(variants=SPLIT)
NAMES = st.text(max_size=12)


def test_a_place_is_what_sha256_says():
    query = "SELECT ('0x' || substr(sha256('layer.page:Zoë'), 1, 13))::BIGINT / (1::BIGINT << 52)"
    assert duckdb.sql(query).fetchall() == [(place("layer.page", "Zoë"),)]


def test_spark_and_python_say_the_same(spark):
    chosen = experiment(variants=SPLIT, slots=[0.1, 0.8], holdout=0.1, ramp=0.7)
    users = [*USERS[:2000], "", "Zoë", "a:b", "漢字", " 7 ", "7"]
    frame = spark.createDataFrame([(user,) for user in [*users, None]], "user_id string")
    by_spark = {row[0]: row[1] for row in frame.select("user_id", variant_of(chosen)).collect()}
    assert by_spark == {user: variant(chosen, user) for user in users} | {None: None}
    assert set(by_spark.values()) == {*SPLIT, None}


def test_variants_have_their_shares():
    chosen = experiment(variants=SPLIT, slots=[0.0, 0.5], holdout=0.2)
    given_to = [variant(chosen, user) for user in USERS]
    counted = [given_to.count(name) for name in (*SPLIT, None)]
    assert share(chosen) == pytest.approx(0.4)
    expected = [0.4 * part * len(USERS) for part in SPLIT.values()] + [0.6 * len(USERS)]
    assert chisquare(counted, expected).pvalue > 0.001


@given(NAMES, st.floats(0, 1), st.floats(0, 1))
def test_a_growing_ramp_moves_nobody(user, one, other):
    low, high = sorted((one, other))
    before, after = (variant(BASE.model_copy(update={"ramp": ramp}), user) for ramp in (low, high))
    assert before is None or before == after
    assert variant(BASE, user) is not None
    assert variant(BASE.model_copy(update={"ramp": 0.0}), user) is None


@given(NAMES, st.floats(0.01, 0.99))
def test_slots_of_one_layer_share_nobody_and_leave_nobody_out(user, cut):
    first = variant(BASE.model_copy(update={"slots": (0.0, cut)}), user)
    second = variant(BASE.model_copy(update={"name": "second", "slots": (cut, 1.0)}), user)
    assert (first is None) != (second is None)


@given(NAMES)
def test_who_is_held_out_is_in_no_experiment(user):
    for name, layer in (("a", "page"), ("b", "page"), ("c", "mail")):
        names = {"name": name, "layer": layer}
        narrow, wide = (variant(BASE.model_copy(update=names | {"holdout": part}), user) for part in (0.2, 0.4))
        assert wide is None or wide == narrow
        assert (narrow is None) == (place("holdout", user) < 0.2)


@pytest.mark.parametrize("other", [{"name": "again"}, {"name": "elsewhere", "layer": "mail", "slots": [0.0, 0.6]}])
def test_experiments_do_not_disturb_each_other(other):
    """Variants of one are as those of chance within each variant of the other."""
    first, second = experiment(variants=SPLIT), experiment(**other)
    table = np.zeros((3, 2))
    for user in USERS:
        one, two = variant(first, user), variant(second, user)
        if one is not None and two is not None:
            table[[*SPLIT].index(one), ["control", "treatment"].index(two)] += 1
    assert chi2_contingency(table).pvalue > 0.001
