from __future__ import annotations

import pytest

from recsys_spark.errors import UserError
from tests.datasets.helpers import opened, rows, write

HEADER = "item_id,user_id,rating,timestamp,model_attr,category,brand,year,user_attr,split\n"
TEXT = (
    HEADER + "0,0,5.0,1999-06-13,Female,Portable Audio & Video,,1999,,0\n"
    '1,1,4.0,2000-01-02,Female&Male,"Camera, Photo",Sony,2000,Male,2\n'
    '1,,3.0,2000-01-03,Female&Male,"Camera, Photo",Sony,2000,,0\n'
)


def test_one_file_gives_ratings_items_and_users(spark, tmp_path):
    source = opened(spark, "format=marketbias", f"path={write(tmp_path / 'df_electronics.csv', TEXT)}")
    assert rows(source.events, "user_id", "item_id", "cast(event_time as string)", "event_value", "context") == [
        ("0", "0", "1999-06-13 00:00:00", 5.0, {"split": "0"}),
        ("1", "1", "2000-01-02 00:00:00", 4.0, {"split": "2"}),
        (None, "1", "2000-01-03 00:00:00", 3.0, {"split": "0"}),
    ]
    assert rows(source.items, "line", "item_id", "category", "brand", "year", "attributes") == [
        (2, "0", "Portable Audio & Video", None, 1999, {"model_attr": "Female"}),
        (3, "1", "Camera, Photo", "Sony", 2000, {"model_attr": "Female&Male"}),
        (4, "1", "Camera, Photo", "Sony", 2000, {"model_attr": "Female&Male"}),
    ]
    assert rows(source.users, "line", "user_id", "gender", "attributes") == [
        (2, "0", None, None),
        (3, "1", "Male", {"user_attr": "Male"}),
    ]


def test_a_missing_column_is_named(spark, tmp_path):
    path = write(tmp_path / "df.csv", TEXT.replace("model_attr", "model"))
    with pytest.raises(UserError, match="no column 'model_attr'; did you mean 'model'"):
        opened(spark, "format=marketbias", f"path={path}")


def test_attributes_are_looked_for_nowhere_else(spark, tmp_path):
    path = write(tmp_path / "df.csv", TEXT)
    with pytest.raises(UserError, match="no attributes in files of their own"):
        opened(spark, "format=marketbias", f"path={path}", f"items_path={path}")
