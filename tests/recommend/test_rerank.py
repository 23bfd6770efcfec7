"""From scored candidates to lists, step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.recommend.rerank import ItemFacts, Scored, policy_of, rerank

NAN = float("nan")
NAMES = ("head", "tail")
FACTS = ItemFacts(
    age_days=np.array([100.0, 0.0, 10.0, NAN, 0.0, 20.0], np.float32),
    category=np.array([0, 0, 0, 1, 1, -1], np.int32),
    group=np.array([0, 0, 0, 1, 1, -1], np.int32),
    group_names=NAMES,
    vectors=np.array([[1, 0], [1, 0], [0, 1], [0, -1], [0.6, 0.8], [0, 0]], np.float32),
)
# user 8 has three candidates, user 9 none
SCORED = Scored(
    np.array([7, 8, 9], np.int32),
    np.array([[0, 1, 2, 3, 4], [5, 3, 0, -1, -1], [-1] * 5], np.int32),
    np.array([[9.0, 8.0, 7.0, 6.0, 5.0], [2.0, 2.0, 1.0, -np.inf, -np.inf], [-np.inf] * 5], np.float32),
)
STEPS = {
    "freshness": ["freshness.weight=0.5", "freshness.half_life_days=10"],
    "mmr": ["diversity.kind=mmr", "diversity.relevance=0.5"],
    "dpp": ["diversity.kind=dpp", "diversity.relevance=0.5"],
    "by_category": ["diversity.kind=mmr", "diversity.relevance=0.5", "diversity.by=category"],
    "category_cap": ["category_cap=1"],
    "exposure": ["exposure.group=popularity", "exposure.least={tail: 0.4}"],
    "exploration": ["exploration.epsilon=0.5", "exploration.places=2"],
}


def policy(*steps, **changes):
    chosen = [setting for step in steps for setting in STEPS[step]]
    chosen += [f"{key}={value}" for key, value in changes.items()]
    rerank_settings = load_config(settings=[f"recommend.rerank.{setting}" for setting in chosen]).recommend.rerank
    return policy_of(rerank_settings, NAMES, seed=1, day=2)


def items_of(made):
    return made.items.tolist()


def test_by_default_the_list_is_the_head_of_the_candidates():
    made = rerank(SCORED, FACTS, policy(), 4)
    assert items_of(made) == [[0, 1, 2, 3], [5, 3, 0, -1], [-1] * 4]
    assert made.places.tolist() == [[0, 1, 2, 3], [0, 1, 2, -1], [-1] * 4]
    assert made.scores[0].tolist() == [9, 8, 7, 6]
    assert (made.propensity == 1.0).all()
    longer = rerank(SCORED, FACTS, policy(), 6)
    assert items_of(longer)[0] == [0, 1, 2, 3, 4, -1]


def test_freshness_by_hand():
    # relevance 1, .75, .5, .25, 0; fresh 0.5 ** 10, 1, 0.5, unknown, 1; half of it on top: 1.0005, 1.25, .75, .25, .5
    made = rerank(SCORED, FACTS, policy("freshness"), 5)
    assert items_of(made)[0] == [1, 0, 2, 4, 3]
    assert made.scores[0].tolist() == [8, 9, 7, 5, 6]
    # the best two are equal: 1 + 0.5 * 0.25 for item 5, 1 for item 3, whose age is not known
    assert items_of(made)[1] == [5, 3, 0, -1, -1]


def test_the_pool_bounds_who_takes_part():
    # of all five: 1.0005, 1.25, .75, .25, .5
    assert items_of(rerank(SCORED, FACTS, policy("freshness"), 3))[0] == [1, 0, 2]
    # relevance among the first three: 1, .5, 0, and half of freshness on top: 1.0005, 1, .25
    assert items_of(rerank(SCORED, FACTS, policy("freshness", pool=3), 3))[0] == [0, 1, 2]


def test_mmr_by_hand():
    # after item 0: 1 has .375 - .5, 2 has .25 - .25, 3 has .125 - .25, 4 has 0 - .4
    assert items_of(rerank(SCORED, FACTS, policy("mmr"), 2))[0] == [0, 2]
    # by category: 0, then 3 with .125 against .375 - .5 of 1, then 1 with -.125 against 2 and 4
    assert items_of(rerank(SCORED, FACTS, policy("by_category"), 3))[0] == [0, 3, 1]


def test_caps_shares_and_what_follows_diversity():
    assert items_of(rerank(SCORED, FACTS, policy("category_cap"), 2))[0] == [0, 3]
    # the tail needs 0.4 of 1 + .631 = .652 of the exposure: place 2 is too little, so place 1
    assert items_of(rerank(SCORED, FACTS, policy("exposure"), 2))[0] == [3, 0]
    of_places = policy("exposure", **{"exposure.of": "places"})
    assert items_of(rerank(SCORED, FACTS, of_places, 2))[0] == [0, 3]
    # MMR alone gives 0, 2, both of category 0; then the best by relevance that the cap allows
    assert items_of(rerank(SCORED, FACTS, policy("mmr", "category_cap"), 2))[0] == [0, 3]


def test_steps_and_their_names():
    whole = policy("exploration", "exposure", "category_cap", "dpp", "freshness")
    assert whole.steps == ("freshness", "diversity", "category_cap", "exposure", "exploration")
    assert whole.first(2).steps == ("freshness", "diversity")
    assert (whole.first(0).pool(10), whole.pool(10), whole.pool(900)) == (10, 500, 900)
    assert policy("mmr", **{"diversity.relevance": 1.0}).steps == ()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("exposure={group: popularity, least: {tial: 0.3}}", "names 'tial'.*popularity.*expected one of head, tail"),
        ("exposure.least={tail: 0.3}", "expected `group`"),
        ("exposure={group: popularity, least: {tail: 0.6, head: 0.6}}", "sum to 1.2, expected at most 1"),
    ],
)
def test_shares_that_cannot_be_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        chosen = load_config(settings=[f"recommend.rerank.{setting}"]).recommend.rerank
        policy_of(chosen, NAMES, 0, 0)


def test_items_newer_than_the_facts_are_unknown():
    few = ItemFacts(FACTS.age_days[:2], FACTS.category[:2], FACTS.group[:2], NAMES, FACTS.vectors[:2])
    made = rerank(SCORED, few, policy("freshness", "mmr", "category_cap", "exposure"), 3)
    assert all(len(set(own)) == len(own) for own in items_of(made)[:2])
    assert items_of(made)[0][:1] == [1]


WHOLE = [
    policy("freshness", diversity, "category_cap", "exposure", "exploration")
    for diversity in ("mmr", "dpp", "by_category")
]


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_list_is_made_of_the_candidates_each_once(data):
    whole = data.draw(st.sampled_from(WHOLE))
    steps = tuple(step for step in whole.steps if data.draw(st.booleans()))
    narrowed = whole.settings.model_copy(update={"pool": data.draw(st.integers(1, 30))})
    policy_of_some = replace(whole, settings=narrowed, steps=steps)
    candidates, n = data.draw(st.integers(0, 30)), data.draw(st.integers(1, 12))
    many = np.array(data.draw(st.lists(st.integers(0, candidates), min_size=1, max_size=5)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    vectors = rng.normal(size=(40, 4)).astype(np.float32)
    facts = ItemFacts(
        rng.choice([NAN, 0.0, 30.0], 40).astype(np.float32),
        rng.integers(-1, 4, 40).astype(np.int32),
        rng.integers(-1, 2, 40).astype(np.int32),
        NAMES,
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )
    there = np.arange(candidates) < many[:, None]
    items = np.where(there, [rng.permutation(45)[:candidates] for _ in many], -1).astype(np.int32)
    scores = -np.sort(-rng.choice([0.0, 1.0, 2.5], items.shape), axis=1)
    scored = Scored(np.arange(len(many)), items, np.where(there, scores, -np.inf).astype(np.float32))
    made = rerank(scored, facts, policy_of_some, n)
    for user, own in enumerate(made.items):
        found = own[own >= 0]
        assert len(found) == min(n, many[user]) == len(set(found))
        assert set(found) <= set(items[user])
        assert (own[len(found) :] == -1).all()
        places = made.places[user, : len(found)]
        assert (items[user, places] == found).all()
        assert (made.scores[user, : len(found)] == scored.scores[user, places]).all()
    assert ((made.propensity > 0) & (made.propensity <= 1)).all()
    if "exploration" not in steps:
        assert (made.propensity == 1).all()
