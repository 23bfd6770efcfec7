from __future__ import annotations

import pytest
from pyspark.sql.types import ArrayType, LongType, StringType, StructType

from recsys_spark.errors import UserError
from recsys_spark.events.source_columns import Shape, differences

BEFORE = {"who": "bigint", "item.sku": "string", "note": "int"}


def differing(types, accept=False, before=BEFORE):
    return differences("shop/events", before, Shape(types, ("who", "item.sku")), accept)


def test_columns_within_structs_are_named_by_their_path():
    item = StructType().add("sku", StringType()).add("tags", ArrayType(StringType()))
    shape = Shape.of(StructType().add("who", LongType()).add("item", item), ["who"])
    assert shape.types == {"who": "bigint", "item.sku": "string", "item.tags": "array<string>"}
    assert Shape.of_texts(["who", "at"], ["who"]).types == {"who": "text", "at": "text"}


@pytest.mark.parametrize(
    ("read", "column", "is_read"),
    [("item.sku", "item.sku", True), ("item", "item.sku", True), ("json.id", "json", True), ("item", "items", False)],
)
def test_what_is_read_is_a_column_what_is_in_it_or_around_it(read, column, is_read):
    assert Shape({}, [read]).reads(column) == is_read


def test_the_first_time_and_an_unchanged_source_say_nothing():
    assert differing(BEFORE) == []
    assert differing({"who": "double"}, before={}) == []


def test_a_new_column_is_noted():
    assert differing({**BEFORE, "shop": "string"}) == ["shop/events: new column `shop` (string), which is not read"]


def test_a_column_that_is_not_read_may_change_or_go():
    assert differing({**BEFORE, "note": "string"}) == [
        "shop/events: column `note` is string now, it was int, which is not read"
    ]
    assert differing({"who": "bigint", "item.sku": "string"}) == []


def test_another_type_of_a_column_that_is_read_is_refused_unless_accepted():
    changed = {**BEFORE, "who": "double"}
    with pytest.raises(UserError, match=r"column `who` is double, expected bigint as before.*accept_type_changes=true"):
        differing(changed)
    assert differing(changed, accept=True) == ["shop/events: column `who` is double now, it was bigint"]
