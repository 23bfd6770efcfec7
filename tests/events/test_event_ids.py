from __future__ import annotations

import hashlib
from datetime import datetime

import pytest

from recsys_spark.events.event_ids import content_hash, identified_by_content, judge_by_key, not_stored
from recsys_spark.schemas import EVENTS

WHEN = datetime(2024, 5, 6)


def event(user="u", value=1.0, source="a", order=1, context=None, event_id=None, item="i", when=WHEN):
    return (event_id, user, item, when, "buy", value, order, context, source, None)


def frame(spark, *events):
    return spark.createDataFrame(list(events), EVENTS.schema)


def test_the_hash_is_of_what_happened_and_not_of_where_it_was_read(spark):
    same = [
        event(source="a", order=1, value=0.0, context={"x": "1", "y": "2"}),
        event(source="b", order=9, value=-0.0, context={"y": "2", "x": "1"}, event_id="other"),
    ]
    different = [
        event(), event(user="v"), event(item="j"), event(value=None), event(when=datetime(2024, 5, 7)),
        event(context={"x": "1"}), event(context={"x": "2"}),
    ]  # fmt: skip
    hashes = [row[0] for row in frame(spark, *same, *different).select(content_hash()).collect()]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 1 + len(different)
    assert {len(value) for value in hashes} == {32}


def test_the_hash_never_changes(spark):
    # ids that are stored must be found again by later versions
    text = (
        '{"user_id":"u","item_id":"i","event_time":1714953600000000,"event_type":"buy","event_value":1.5,'
        '"context":[{"key":"x","value":"1"},{"key":"y","value":"ü"}]}'
    )
    found = frame(spark, event(value=1.5, context={"y": "ü", "x": "1"})).select(content_hash()).head()[0]
    assert found == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_equal_rows_of_one_file_stay_apart_and_those_of_two_files_become_one(spark):
    # u bought the same twice, says file a; file b, an overlapping export, holds both rows and v's
    found = frame(
        spark, event("u", source="a", order=1), event("u", source="a", order=5), event("u", source="b", order=2),
        event("u", source="b", order=3), event("v", source="b", order=1),
    ).transform(identified_by_content)  # fmt: skip
    rows = found.orderBy("user_id", "event_order").select("user_id", "source", "event_order", "event_id").collect()
    assert [tuple(row)[:3] for row in rows] == [("u", "a", 1), ("u", "a", 5), ("v", "b", 1)]
    assert [row["event_id"][32:] for row in rows] == ["-1", "-2", "-1"]
    again = frame(spark, event("u", source="c", order=1), event("u", source="c", order=2), event("w", source="c"))
    new = again.transform(identified_by_content).transform(not_stored(found))
    assert [row["user_id"] for row in new.collect()] == ["w"]


@pytest.mark.parametrize("partitions", [1, 5])
def test_ids_do_not_depend_on_partitions(spark, partitions):
    events = [event(f"u{n % 7}", value=float(n % 3), order=n) for n in range(60)]
    found = frame(spark, *events).repartition(partitions).transform(identified_by_content)
    expected = frame(spark, *events).coalesce(1).transform(identified_by_content)
    assert sorted(map(tuple, found.select("event_id", "event_order").collect())) == sorted(
        map(tuple, expected.select("event_id", "event_order").collect())
    )


@pytest.mark.parametrize("few", [False, True])
def test_keys_decide_where_the_source_has_them(spark, few):
    stored = frame(spark, event("u", event_id="1"), event("u", event_id="2", when=datetime(2020, 1, 1)))
    batch = frame(
        spark,
        event("u", event_id="1"),  # there, with the same content
        event("u", event_id="2", order=2),  # there, long ago and with other content
        event("u", event_id="3", order=3),  # new
        event("u", event_id="3", order=4),  # the same again
        event("u", event_id="3", order=5, value=9.0),  # the same key for something else
        event("u", event_id="4", order=6),  # the same content as 3, but another key: new
    )
    judged = batch.selectExpr("*", "cast(null as string) reason", "cast(null as string) detail").union(
        frame(spark, event(None, event_id="5", order=7)).selectExpr("*", "'missing_user_id'", "'user_id is blank'")
    )
    found = judged.transform(judge_by_key(stored, few)).orderBy("event_order")
    assert [tuple(row) for row in found.select("event_id", "is_new", "reason").collect()] == [
        ("1", False, None),
        ("2", False, "duplicate"),
        ("3", True, None),
        ("3", False, None),
        ("3", False, "duplicate"),
        ("4", True, None),
        ("5", False, "missing_user_id"),
    ]
    details = [row["detail"] for row in found.where("reason = 'duplicate'").collect()]
    assert details == [f"event_id '{key}' is taken by an event with other content" for key in "23"]
