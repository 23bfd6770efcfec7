"""The best of many scores, against a plain sort; also where a sample says little of the rest."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.models.selection import best_of

RNG = np.random.default_rng(9)
MANY = {
    "all different": RNG.normal(size=(3, 40_000)),
    "few values": RNG.integers(0, 5, (3, 40_000)),
    "all alike": np.zeros((3, 40_000)),
    "best at the end": np.sort(RNG.normal(size=(3, 40_000)), axis=1),
    "best where the sample does not look": np.where(np.arange(40_000) % 19 == 7, 1.0, 0.0)
    * RNG.normal(size=(3, 40_000)),
    "nearly all barred": np.where(RNG.random((3, 40_000)) < 0.999, -np.inf, 1.0),
}


@pytest.mark.parametrize("kind", MANY)
@pytest.mark.parametrize("tile", [40_000, 15_000])
def test_the_best_are_those_of_a_sort(kind, tile):
    scores, n = MANY[kind].astype(np.float32), 100
    tiles = [(start, scores[:, start : start + tile].copy()) for start in range(0, 40_000, tile)]
    items, best = best_of(tiles, 3, n)
    for row, of_user in enumerate(scores):
        expected = np.lexsort((np.arange(40_000), -of_user))[:n]
        there = np.isfinite(of_user[expected])
        np.testing.assert_array_equal(best[row], of_user[expected])
        np.testing.assert_array_equal(items[row], np.where(there, expected, -1))
