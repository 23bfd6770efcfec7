from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.feature import HashingTF

from recsys_spark.features.text import learn_weights, projected, signs

BUCKETS = 1 << 14


@pytest.fixture(scope="module")
def titles(spark):
    rows = [(0, "Red shoe"), (1, "Blue SHOE, blue"), (2, "red  shoe!"), (3, "Café"), (4, None), (5, "green")]
    return spark.createDataFrame(rows, "item_idx int, title string")


def bucket(word: str) -> int:
    return int(HashingTF(numFeatures=BUCKETS).indexOf(word))


def test_words_weigh_by_how_few_texts_have_them(spark, titles):
    weights = learn_weights(titles.where("item_idx in (0, 1, 3, 4)"), "title", min_count=1)
    # three texts: shoe is in two of them, the other words in one
    assert weights[bucket("shoe")] == pytest.approx(np.log(4 / 3))
    assert weights[bucket("blue")] == weights[bucket("café")] == pytest.approx(np.log(4 / 2))
    assert np.count_nonzero(weights) == 4
    often = learn_weights(titles.where("item_idx in (0, 1, 3, 4)"), "title", min_count=2)
    assert np.flatnonzero(often).tolist() == [bucket("shoe")]


def test_texts_become_unit_vectors_by_their_learnt_words(spark, titles):
    weights = np.zeros(BUCKETS)
    weights[bucket("red")], weights[bucket("blue")], weights[bucket("shoe")] = 3.0, 2.0, 1.0
    frame = titles.transform(projected("title", weights, 8, seed=42))
    assert frame.columns == titles.columns
    vectors = {row.item_idx: row.title for row in frame.collect()}
    directions = signs(42, 8).astype(float)
    by_hand = {
        0: 3.0 * directions[bucket("red")] + directions[bucket("shoe")],
        1: 4.0 * directions[bucket("blue")] + directions[bucket("shoe")],
    }
    for item, vector in by_hand.items():
        np.testing.assert_allclose(vectors[item], vector / np.linalg.norm(vector), rtol=1e-6)
    assert vectors[2] == vectors[0]
    assert (vectors[3], vectors[4], vectors[5]) == (None, None, None)


def test_signs_are_drawn_by_hash():
    drawn = signs(7, 16)
    assert set(np.unique(drawn)) == {-1, 1}
    assert abs(drawn.mean()) < 0.01
    np.testing.assert_array_equal(drawn[:, :4], signs(7, 4))
    assert (signs(8, 16) != drawn).any()


def test_directions_keep_cosines_as_well_as_their_width_allows():
    directions = signs(7, 256).astype(float)
    one, other = directions[:64].sum(axis=0), directions[32:96].sum(axis=0)  # half of the words are the same
    assert one @ other / (np.linalg.norm(one) * np.linalg.norm(other)) == pytest.approx(0.5, abs=0.15)
