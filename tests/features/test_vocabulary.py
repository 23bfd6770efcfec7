from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from recsys_spark.errors import UserError
from recsys_spark.feature_settings import CategoricalFeature, MultiHotFeature
from recsys_spark.features.vocabulary import codes, vocabularies, words

WORDS = st.sampled_from(["a", "b", "c", "d"])


def categorical(**settings: object) -> CategoricalFeature:
    given_ = {"name": "brand", "of": "item", "kind": "categorical", "source": "brand", **settings}
    return CategoricalFeature.model_validate(given_)


def multi_hot(**settings: object) -> MultiHotFeature:
    given_ = {"name": "genres", "of": "item", "kind": "multi_hot", "source": "category", **settings}
    return MultiHotFeature.model_validate(given_)


def trained(spark, *rows: tuple[list[str] | None, list[str] | None]):
    return spark.createDataFrame(rows, "brand array<string>, genres array<string>")


def test_a_vocabulary_is_by_falling_count_then_by_value(spark):
    frame = trained(spark, (["x"], ["b", "a"]), (["y"], ["a", "c"]), (["y"], None), (None, ["b"]), (["w"], ["d"]))
    learnt = vocabularies(frame, [categorical(), multi_hot()], 1 << 20)
    assert learnt == {"brand": {"y": 2, "w": 3, "x": 4}, "genres": {"a": 2, "b": 3, "c": 4, "d": 5}}
    assert list(learnt["genres"]) == ["a", "b", "c", "d"]


def test_what_is_rare_or_past_the_most_frequent_has_no_code(spark):
    frame = trained(spark, (["x"], ["b", "a"]), (["y"], ["a", "c"]), (["y"], None), (None, ["b"]), (["w"], ["d"]))
    learnt = vocabularies(frame, [categorical(min_count=2), multi_hot(max_size=3)], 1 << 20)
    assert learnt == {"brand": {"y": 2}, "genres": {"a": 2, "b": 3, "c": 4}}


def test_vocabularies_too_large_for_the_driver_are_refused(spark):
    with pytest.raises(UserError, match=r"vocabularies of features.declared.*raise run\.driver_bytes"):
        vocabularies(trained(spark, (["x"], None), (["y"], None)), [categorical()], 300)


def test_values_are_trimmed_and_repeats_and_blanks_are_left_out(spark):
    frame = spark.createDataFrame([(" a. b.a..",), ("...",), (None,), (" ",)], "text string")
    split = frame.select(words(multi_hot(separator="."), F.col("text")))
    assert [row[0] for row in split.collect()] == [["a", "b"], None, None, None]
    whole = frame.select(words(categorical(), F.col("text")))
    assert [row[0] for row in whole.collect()] == [["a. b.a.."], ["..."], None, None]


def test_a_whole_number_may_be_a_category(spark):
    years = spark.createDataFrame([(1999,), (None,)], "year int")
    assert [row[0] for row in years.select(words(categorical(), F.col("year"))).collect()] == [["1999"], None]


def test_codes_fill_the_slots_in_the_values_own_order():
    lists = pa.array([["c", "a"], None, ["b", "z", "a"], ["z"]], pa.list_(pa.string()))
    coded = codes(lists, {"a": 2, "b": 3, "c": 4}, 2)
    assert coded.tolist() == [[4, 2], [0, -1], [3, 1], [1, -1]]


def test_codes_of_a_slice_and_of_nothing():
    lists = pa.array([["a"], ["b", "c"], ["a"]], pa.list_(pa.string()))
    assert codes(lists.slice(1), {"a": 2, "c": 3}, 3).tolist() == [[1, 3, -1], [2, -1, -1]]
    assert codes(lists.slice(3), {"a": 2}, 1).shape == (0, 1)
    assert codes(lists, {}, 1).tolist() == [[1], [1], [1]]


@given(st.lists(st.none() | st.lists(WORDS, min_size=1, unique=True), max_size=6), st.integers(1, 4))
def test_codes_are_what_a_loop_over_the_lists_makes(lists, slots):
    vocabulary = {"a": 2, "b": 3, "c": 4}
    expected = []
    for own in lists:
        coded = [vocabulary.get(word, 1) for word in own][:slots] if own else [0]
        expected.append(coded + [-1] * (slots - len(coded)))
    assert codes(pa.array(lists, pa.list_(pa.string())), vocabulary, slots).tolist() == expected
