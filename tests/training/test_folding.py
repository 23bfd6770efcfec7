"""Folding of a trained model's vectors, over tables made by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np

from recsys_spark.schemas import ITEM_FEATURES, SEQUENCES
from recsys_spark.training.folding import folding

AS_OF = date(2024, 1, 31)
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
HISTORIES = {0: [0, 1], 1: [2, 0], 2: [3, 4, 3], 3: [1], 4: [5, 5]}
USERS_OF = {0: 2, 1: 2, 2: 1, 3: 1, 4: 1, 5: 1}


def plain(vectors: np.ndarray, neighbours: int) -> float:
    """By loops: of every item's nearest others, those that nobody took as well."""
    took = {item: {user for user, items in HISTORIES.items() if item in items} for item in USERS_OF}
    folded = []
    for item in USERS_OF:
        likeness = {o: vectors[item] @ vectors[o] / np.linalg.norm(vectors[o]) for o in USERS_OF if o != item}
        nearest = sorted(likeness, key=lambda other: -likeness[other])[:neighbours]
        folded += [not took[item] & took[other] for other in nearest]
    return float(np.mean(folded))


def test_folding_is_over_the_items_and_users_of_the_fit(make_run) -> None:
    run = make_run("train", "training.folding_users=1", as_of=str(AS_OF))
    items = [(AS_OF, "evaluate", item, 1, users, NOON, NOON, None) for item, users in USERS_OF.items()]
    run.tables.replace(ITEM_FEATURES, run.spark.createDataFrame(items, ITEM_FEATURES.schema))
    of_fits = [(AS_OF, "evaluate", user, items, [0] * len(items), len(items)) for user, items in HISTORIES.items()]
    of_fits.append((AS_OF, "refit", 9, [0, 1, 2, 3, 4, 5], [0] * 6, 6))
    run.tables.replace(SEQUENCES, run.spark.createDataFrame(of_fits, SEQUENCES.schema))
    vectors = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)  # 6 and 7 were never taken
    # ten neighbours of six items are all the others
    np.testing.assert_allclose(folding(run, "evaluate", vectors), plain(vectors, 10))
    np.testing.assert_allclose(plain(vectors, 10), 1 - 2 * 3 / 30)
    few = make_run("train", "training.folding_users=1", "training.folding_items=1", as_of=str(AS_OF))
    assert folding(few, "evaluate", vectors) is None
    # 0 and 1 alone were taken by two users each, one of whom took both
    assert folding(make_run("train", "training.folding_users=2", as_of=str(AS_OF)), "evaluate", vectors) == 0.0
    assert folding(make_run("train", "training.folding_users=3", as_of=str(AS_OF)), "evaluate", vectors) is None
