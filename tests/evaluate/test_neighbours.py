"""The baselines that read a user's items, against plain loops, linear algebra by hand and Spark's own ALS."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.neighbors import NearestNeighbors

from recsys_spark.errors import UserError
from recsys_spark.evaluate import baselines
from recsys_spark.evaluate.baselines import co_occurrences, fitted_baselines
from recsys_spark.evaluate.neighbours import FoldedIn, ItemToItem, OwnFrequency, cosine_neighbours, ease
from recsys_spark.models.users import Users
from recsys_spark.schemas import ITEM_ATTRIBUTES, SEQUENCES
from tests.evaluate.conftest import AS_OF

TOOK = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1.0]])
GRAM = TOOK.T @ TOOK


def test_cosines_by_hand() -> None:
    likeness = cosine_neighbours(GRAM, neighbours=2, shrinkage=0.0)
    # items 0 and 1: 2 users together, 2 and 3 apart: 2 / sqrt(6); 0 and 2: 1 / sqrt(4)
    assert_allclose(likeness[1, 0], 2 / np.sqrt(6), rtol=1e-6)
    assert_allclose(likeness[2, 0], 0.5, rtol=1e-6)
    assert likeness[3, 0] == 0.0 and (np.diag(likeness) == 0).all()
    assert ((likeness > 0).sum(axis=0) <= 2).all()
    assert_allclose(cosine_neighbours(GRAM, 4, 1.0)[1, 0], 2 / (np.sqrt(6) + 1), rtol=1e-6)


def test_cosines_are_those_of_scikit_learns_nearest_neighbours() -> None:
    took = (np.random.default_rng(4).random((40, 12)) < 0.3).astype(float)
    took[0] = 1.0  # no item without a user
    found = NearestNeighbors(n_neighbors=4, metric="cosine").fit(took.T)
    distances, nearest = found.kneighbors()  # of each item, without itself
    expected = np.zeros((12, 12))
    for item in range(12):
        expected[nearest[item], item] = 1.0 - distances[item]
    likeness = cosine_neighbours(took.T @ took, neighbours=4, shrinkage=0.0)
    for item in range(12):  # of equals at the end either side may take another
        kept, last = likeness[:, item] > 0, 1.0 - distances[item, -1]
        surely = expected[:, item] > last + 1e-6
        assert kept.sum() >= 4
        assert_allclose(likeness[surely, item], expected[surely, item], rtol=1e-5)
        assert_allclose(likeness[kept & ~surely, item], last, rtol=1e-5)


def test_ease_is_the_least_squares_fit_without_the_item_itself() -> None:
    weights = ease(GRAM, 0.5)
    assert_allclose(np.diag(weights), 0.0)
    for item in range(4):
        others = [other for other in range(4) if other != item]
        ridge = TOOK[:, others].T @ TOOK[:, others] + 0.5 * np.eye(3)
        assert_allclose(weights[others, item], np.linalg.solve(ridge, TOOK[:, others].T @ TOOK[:, item]), rtol=1e-5)


def test_scores_are_summed_over_the_users_items_each_once() -> None:
    weights = np.arange(16, dtype=np.float32).reshape(4, 4)
    scorer = ItemToItem(weights, history=5)
    users = Users(np.array([7, 8], np.int32), np.array([[-1, 0, 2, 0], [-1, -1, -1, -1]], np.int32))
    assert scorer.knows(users).tolist() == [True, False]
    assert_allclose(scorer.all_scores(users)[0], weights[0] + weights[2])
    assert_allclose(scorer.scores(users, np.array([[3, 1], [0, 0]], np.int32))[0], [3 + 11, 1 + 9])


def test_folded_in_users_are_those_of_sparks_als(spark) -> None:
    from pyspark.ml.recommendation import ALS

    took = np.random.default_rng(3).random((30, 12)) < 0.3
    took[:, 0] |= ~took.any(axis=1)
    pairs = [(int(user), int(item), 1.0) for user, item in zip(*np.nonzero(took), strict=True)]
    model = ALS(
        rank=3, maxIter=4, regParam=0.1, alpha=2.0, implicitPrefs=True, userCol="u", itemCol="i", ratingCol="r", seed=1
    ).fit(spark.createDataFrame(pairs, "u int, i int, r double"))
    factors = np.zeros((12, 3), np.float32)
    for row in model.itemFactors.collect():
        factors[row["id"]] = row["features"]
    scorer = FoldedIn(factors, alpha=2.0, regularisation=0.1, history=12)
    theirs = {row["id"]: row["features"] for row in model.userFactors.collect()}
    history = np.where(took, np.arange(12), -1).astype(np.int32)
    ours = scorer.user_factors(Users(np.arange(30, dtype=np.int32), history))
    assert_allclose(ours, [theirs[user] for user in range(30)], rtol=1e-3, atol=1e-4)


def test_co_occurrences_are_summed_over_partitions(world) -> None:
    run = world.run()
    # train items 0: {0, 1}, 1: {0, 1}, 2: {0, 2, 3}
    expected = np.zeros((6, 6))
    for items in ([0, 1], [0, 1], [0, 2, 3]):
        expected[np.ix_(items, items)] += 1
    assert_allclose(co_occurrences(run, 6), expected)
    with pytest.raises(UserError, match=r"leave item_knn and ease out of evaluate\.baselines"):
        co_occurrences(world.run("run.driver_bytes=100"), 6)


@pytest.mark.slow
def test_every_baseline_is_measured_beside_the_model(world, monkeypatch) -> None:
    from tests.evaluate.conftest import SCORES

    counted = []
    monkeypatch.setattr(baselines, "co_occurrences", lambda *of: counted.append(of) or co_occurrences(*of))
    world.add_model("m1", "evaluate", SCORES)
    names = [
        "popularity",
        "recent_popularity",
        "category_popularity",
        "random",
        "own_frequency",
        "item_knn",
        "ease",
        "als",
    ]
    world.evaluate(f"evaluate.baselines={names}", "evaluate.als_rank=2", "evaluate.protocols=[full]")
    measured = {key[0] for key in world.metrics()}
    assert measured == {"m1", *names}
    assert len(counted) == 1  # item_knn and ease share them


def test_recent_popularity_counts_the_last_days_alone(world) -> None:
    day = 86_400  # the others took theirs at second 0
    taken = {93 * day: 5, 93 * day + 1: 4, 99 * day: 4, 100 * day: 1}
    world.append(SEQUENCES, [(AS_OF, "evaluate", 3, list(taken.values()), list(taken), len(taken))])
    for days, expected in ((7, [0, 1, 0, 0, 2, 0]), (8, [0, 1, 0, 0, 2, 1]), (101, [3, 3, 1, 1, 2, 1])):
        run = world.run("evaluate.baselines=[recent_popularity]", f"evaluate.recent_days={days}")
        scorer = fitted_baselines(run, np.zeros(6))["recent_popularity"].value
        assert scorer.all_scores(Users.without_history([0]))[0].tolist() == expected


def test_own_frequency_counts_repeats_and_breaks_ties_by_popularity() -> None:
    scorer = OwnFrequency(np.array([1.0, 5.0, 0.0, 3.0]), history=5)
    users = Users(np.array([0, 1]), np.array([[-1, 2, 0, 2, 2], [-1, -1, -1, -1, 3]], np.int32))
    scores = scorer.all_scores(users)
    assert_allclose(scores, [[1 + 1 / 6, 5 / 6, 3.0, 3 / 6], [1 / 6, 5 / 6, 0.0, 1 + 3 / 6]], rtol=1e-6)
    assert_allclose(scorer.scores(users, np.array([[2], [1]], np.int32)), [[3.0], [5 / 6]], rtol=1e-6)


def test_an_item_that_nobody_took_is_as_popular_as_its_category(world) -> None:
    categories = {0: "a", 1: "b", 2: "a", 3: None, 4: "a", 5: "c"}
    rows = [(f"i{item}", f"title {item}", category) for item, category in categories.items() if item != 3]
    attributes = dict.fromkeys(ITEM_ATTRIBUTES.schema.names)
    named = [{**attributes, "item_id": item, "title": title, "category": category} for item, title, category in rows]
    world.append(ITEM_ATTRIBUTES, [tuple(row.values()) for row in named])
    run = world.run("evaluate.baselines=[category_popularity]")
    scorer = fitted_baselines(run, np.zeros(6))["category_popularity"].value
    # items 0 and 2, of 3 and 1 users, are of the category of 4; nothing of category c was taken
    assert scorer.all_scores(Users.without_history([0]))[0].tolist() == [3, 2, 1, 1, 2, 0]
