"""Vectors on a plane, against scikit-learn's principal components."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.decomposition import PCA

from recsys_spark.plane import on_plane


def test_the_plane_is_that_of_the_principal_components():
    vectors = np.random.default_rng(7).normal(size=(60, 8)) * [5, 3, 1, 1, 1, 1, 1, 1]
    places, explained = on_plane(vectors)
    theirs = PCA(2).fit(vectors)
    assert explained == pytest.approx(theirs.explained_variance_ratio_)
    expected = theirs.transform(vectors)
    expected *= np.sign((expected * places).sum(axis=0)) / np.abs(expected).max()
    np.testing.assert_allclose(places, expected, atol=1e-9)
    assert (places == on_plane(vectors)[0]).all()


@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.floats(-1e3, 1e3, width=32)))
@settings(max_examples=60, deadline=None)
def test_any_vectors_have_a_place(vectors):
    places, explained = on_plane(vectors)
    assert places.shape == (len(vectors), 2) and np.abs(places).max() <= 1.0 + 1e-12
    assert np.isfinite(places).all() and -1e-9 <= sum(explained) <= 1.0 + 1e-9
