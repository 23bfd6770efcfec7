"""Declared features as vectors, by hand: what is missing takes no part, and is not zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys_spark.features.spec import FeatureSpec
from recsys_spark.models.side import FeatureEncoder

GENRES = FeatureSpec("genres", "item", "multi_hot", 0, 2, 3)
YEAR = FeatureSpec("year", "item", "dense", 0, 1, None)
TITLE = FeatureSpec("title", "item", "text", 1, 2, None)
IMAGE = FeatureSpec("image", "item", "vector", 3, 2, None)
WEIGHTS = {
    "genres": [[1.0, 0.0], [3.0, 4.0], [5.0, 8.0]],
    "year": [[2.0, -2.0], [6.0, 1.0]],  # of the number, and where it is missing
    "title": [[1.0, 2.0], [3.0, 4.0]],
    "image": [[10.0, 0.0], [0.0, 20.0]],
}
NAN = float("nan")


def vector_of(codes: list[int], numbers: list[float], *specs: FeatureSpec) -> Any:
    encoder = FeatureEncoder(specs, width=2)
    encoder.build()
    for weights in encoder.weights:
        weights.assign(WEIGHTS[weights.name])
    return np.asarray(encoder.encode(np.array([codes], np.int32), np.array([numbers], np.float32)))[0]


@pytest.mark.parametrize(
    ("codes", "numbers", "expected"),
    [
        # genres (4, 6), year (1, -1), title (7, 10), image (10, 20)
        ([1, 2], [0.5, 1.0, 2.0, 1.0, 1.0], (22 / 4, 35 / 4)),
        ([1, 2], [0.5, NAN, NAN, 1.0, 1.0], (15 / 3, 25 / 3)),
        ([1, 2], [0.5, 1.0, 2.0, NAN, NAN], (12 / 3, 15 / 3)),
        ([1, 2], [0.5, 1.0, 2.0, 1.0, NAN], (12 / 3, 15 / 3)),
        ([-1, -1], [0.5, 1.0, 2.0, 1.0, 1.0], (18 / 3, 29 / 3)),
        ([2, -1], [0.5, 1.0, 2.0, 1.0, 1.0], (23 / 4, 37 / 4)),
        ([0, -1], [NAN, NAN, NAN, NAN, NAN], (7 / 2, 1 / 2)),  # missing numbers and codes have vectors of their own
    ],
    ids=["all there", "no title", "no image", "half an image", "no genre", "one genre", "only what says it is missing"],
)
def test_the_mean_is_over_the_features_that_are_there(codes: Any, numbers: Any, expected: Any) -> None:
    np.testing.assert_allclose(vector_of(codes, numbers, GENRES, YEAR, TITLE, IMAGE), expected, rtol=1e-6)


def test_where_nothing_is_there_the_vector_is_zero() -> None:
    assert vector_of([-1, -1], [NAN, NAN, NAN], GENRES, TITLE).tolist() == [0.0, 0.0]
