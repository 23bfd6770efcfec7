from __future__ import annotations

import pytest

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.interactions.given import given_negatives, given_test
from tests.frames import events


@pytest.fixture
def night(spark):
    """Events whose items first appear in the order 30, 10, 20; users 1 and 2; indices in sorted order of the ids."""
    rows = [("1", "30", 0), ("1", "10", 1), ("2", "30", 0), ("2", "20", 1)]
    users = spark.createDataFrame([("1", 0), ("2", 1)], "user_id string, user_idx int")
    items = spark.createDataFrame([("10", 0), ("20", 1), ("30", 2)], "item_id string, item_idx int")
    return events(spark, rows), users, items


def config(folder, ids, test="", negatives=""):
    (folder / "test").write_text(test)
    (folder / "negatives").write_text(negatives)
    files = [f"split.test_file={folder / 'test'}", f"split.negatives_file={folder / 'negatives'}"]
    return load_config(settings=["split.kind=given", f"split.given_ids={ids}", *files]).split


def test_zero_based_items_are_numbered_by_their_first_appearance(night, tmp_path):
    split = config(tmp_path, "zero_based", "0\t1\t5\t0\n1\t2\t3\t0\n", "(0,1)\t2\t0\n(1,2)\t1\n")
    assert sorted(map(tuple, given_test(split, *night).collect())) == [(0, 0), (1, 1)]
    assert sorted(map(tuple, given_negatives(split, *night).collect())) == [(0, [1, 2]), (1, [0])]


def test_business_ids_are_taken_as_they_are(night, tmp_path):
    split = config(tmp_path, "business", "1\t10\t5\t0\n", "(1,10)\t20\n")
    assert [tuple(r) for r in given_test(split, *night).collect()] == [(0, 0)]
    assert [tuple(r) for r in given_negatives(split, *night).collect()] == [(0, [1])]


def test_ids_that_the_events_lack_are_counted_and_the_setting_named(night, tmp_path):
    split = config(tmp_path, "zero_based", "0\t1\t5\t0\n8\t1\t5\t0\n", "(0,1)\t2\t99\n")
    with pytest.raises(UserError, match=r"split\.test_file .*: 1 of 2 pairs.*split\.given_ids"):
        given_test(split, *night)
    with pytest.raises(UserError, match=r"split\.negatives_file .*: 1 of 2 pairs"):
        given_negatives(split, *night)


def test_lines_of_another_form_and_a_missing_file_are_said(night, tmp_path):
    with pytest.raises(UserError, match=r"expected `\(user,item\).*got '1 2 3'"):
        given_negatives(config(tmp_path, "business", negatives="1 2 3\n"), *night)
    missing = load_config(settings=[f"split.test_file={tmp_path / 'none'}"]).split
    with pytest.raises(UserError, match=r"split\.test_file: .*none cannot be read"):
        given_test(missing, *night)
