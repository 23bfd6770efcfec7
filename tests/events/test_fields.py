from __future__ import annotations

import pytest

from recsys_spark.errors import UserError
from recsys_spark.events.fields import cells, csv_fields, header_names, json_fields, numbered_names, split_fields


def cut(spark, transformer, *raws):
    lines = spark.createDataFrame(
        [("f", n, raw) for n, raw in enumerate(raws, 1)], "source string, line long, raw string"
    )
    found = lines.transform(transformer).orderBy("line").select("fault", "fields.*").collect()
    return [tuple(row) for row in found]


def test_delimited_lines_need_the_right_number_of_fields(spark):
    assert cut(spark, split_fields(["a", "b"], "::", "'::'"), "1::2", "1", "1::2::3", "::") == [
        (None, "1", "2"),
        ("expected 2 fields between '::', found 1", "1", None),
        ("expected 2 fields between '::', found 3", "1", "2"),
        (None, "", ""),
    ]


def test_csv_lines_keep_quoted_delimiters_and_odd_column_names(spark):
    fault = "expected 2 CSV fields between ';'"
    assert cut(spark, csv_fields(["a.b", "c`d"], ";"), '"x;y";"say ""no"""', "1;2;3", "1", '"open;1', ";") == [
        (None, "x;y", 'say "no"'),
        (fault, "1", "2"),
        (fault, "1", None),
        (fault, "open;1", None),
        (None, None, None),
    ]


def test_json_lines_keep_numbers_and_nested_values_as_text(spark):
    lines = ['{"a": 1.5, "b": {"c": [1]}, "z": 0}', "{'a': 'it\\'s'}", '{"a": 1', "garbage", "[1]", "null", "{}"]
    fault = "expected one JSON object"
    assert cut(spark, json_fields(["a", "b"]), *lines) == [
        (None, "1.5", '{"c":[1]}'),
        (None, "it's", None),
        (fault, None, None),
        (fault, None, None),
        (fault, None, None),
        (fault, None, None),
        (None, None, None),
    ]


def test_columns_of_a_header_are_told_apart():
    assert header_names({"f": ",user,User, item "}, ",") == ["0", "user", "User_2", "item"]
    assert numbered_names({"f": "a|b", "g": "a|b|c"}, "|") == ["0", "1", "2"]
    assert cells('"a::b"::c', "::") == ['"a', 'b"', "c"]
    with pytest.raises(UserError, match="different headers"):
        header_names({"f": "a,b", "g": "b,a"}, ",")
