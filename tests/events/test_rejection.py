from __future__ import annotations

from datetime import UTC, datetime

import pytest

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.events.rejection import gate, judge_attributes, judge_events, raw_of_rejected, tally

DRAFT = (
    "source string, line long, raw string, fault string, event_id string, user_id string, item_id string, "
    "event_time timestamp, time_text string, event_type string, event_value double, value_text string, "
    "event_order long, context map<string,string>"
)
GOOD = {
    "source": "f", "raw": "...", "fault": None, "event_id": "e", "user_id": "u", "item_id": "i",
    "event_time": datetime(2024, 5, 6), "time_text": "t", "event_type": "rating", "event_value": 3.0,
    "value_text": "3", "event_order": 1, "context": None,
}  # fmt: skip
NOW = datetime(2024, 6, 1, tzinfo=UTC)
CONFIG = load_config(settings=["ingest.value_min=1", "ingest.value_max=5", "ingest.max_rejected_share=0.5"]).ingest
FAULTS = [
    ({"fault": "expected 4 fields, found 1", "user_id": None}, "malformed", "expected 4 fields, found 1"),
    ({"event_id": None}, "missing_event_id", "event_id is blank"),
    ({"user_id": None, "item_id": None}, "missing_user_id", "user_id is blank"),
    ({"item_id": None}, "missing_item_id", "item_id is blank"),
    ({"event_time": None, "time_text": "x"}, "bad_time", "time 'x', expected a time from 1970-01-01 on"),
    ({"event_time": None, "time_text": None}, "bad_time", "time '', expected a time from 1970-01-01 on"),
    (
        {"event_time": datetime(1969, 12, 31, 23, 59, 59), "time_text": "-1"},
        "bad_time",
        "time '-1', expected a time from 1970-01-01 on",
    ),
    (
        {"event_time": datetime(2024, 6, 1, 0, 0, 1), "time_text": "1717200001"},
        "time_in_future",
        "time '1717200001', expected one up to 2024-06-01 00:00 UTC",
    ),
    ({"event_value": None, "value_text": "much"}, "bad_value", "value 'much', expected a number"),
    ({"event_value": float("nan"), "value_text": "NaN"}, "bad_value", "value 'NaN', expected a number"),
    ({"event_value": float("-inf"), "value_text": "-Infinity"}, "bad_value", "value '-Infinity', expected a number"),
    ({"event_value": 0.5, "value_text": "0.5"}, "value_out_of_range", "value '0.5', expected at least 1.0"),
    ({"event_value": 6.0, "value_text": "6"}, "value_out_of_range", "value '6', expected at most 5.0"),
    ({"event_value": None, "value_text": None}, None, None),
    ({"event_time": datetime(1970, 1, 1), "event_value": 5.0}, None, None),
]


@pytest.fixture(scope="module")
def judged(spark):
    names = [field.strip().split(" ")[0] for field in DRAFT.split(", ")]
    drafts = [{**GOOD, "line": n, **change} for n, (change, _, _) in enumerate(FAULTS)]
    frame = spark.createDataFrame([tuple(draft[name] for name in names) for draft in drafts], DRAFT)
    return frame.transform(judge_events(CONFIG, NOW, keyed=True)).transform(raw_of_rejected).persist()


def test_each_fault_has_its_reason_and_says_what_was_expected(judged):
    found = judged.orderBy("line").select("reason", "detail", "raw").collect()
    assert [(row["reason"], row["detail"]) for row in found] == [(reason, detail) for _, reason, detail in FAULTS]
    assert [row["raw"] for row in found] == ["..."] * 13 + [None] * 2


def test_the_tally_counts_by_reason_and_spans_the_good_ones(judged):
    counts = tally(judged)
    assert counts.rows == 15
    assert counts.accepted == 2
    assert counts.rejected["bad_time"] == 3
    assert counts.rejected["value_out_of_range"] == 2
    assert counts.first_time == 0
    assert counts.last_time == 1_714_953_600_000_000  # 2024-05-06


def test_too_many_bad_rows_stop_the_job_with_counts_and_samples(judged):
    with pytest.raises(UserError) as error:
        gate(judged, tally(judged), "events from f", CONFIG)
    message = str(error.value)
    assert "events from f: 13 of 15 rows rejected (86.7%), more than ingest.max_rejected_share=0.5" in message
    assert "  bad_time: 3\n" in message
    assert "  f:1: missing_event_id: event_id is blank: '...'\n" in message
    assert "nothing was written" in message


def test_the_last_day_that_counts_can_be_configured(spark, judged):
    config = load_config(settings=["ingest.latest=2024-05-05", "ingest.earliest=2000-01-01"]).ingest
    names = [field.strip().split(" ")[0] for field in DRAFT.split(", ")]
    times = [datetime(1999, 12, 31), datetime(2024, 5, 5, 23, 59, 59), datetime(2024, 5, 6, 0, 0, 1)]
    drafts = [{**GOOD, "line": n, "event_time": when} for n, when in enumerate(times)]
    frame = spark.createDataFrame([tuple(draft[name] for name in names) for draft in drafts], DRAFT)
    found = frame.transform(judge_events(config, NOW, keyed=False)).orderBy("line").select("reason").collect()
    assert [row[0] for row in found] == ["bad_time", None, "time_in_future"]


def test_attributes_need_their_id(spark):
    drafts = spark.createDataFrame(
        [(1, None, "i"), (2, None, None), (3, "no JSON", None)], "line long, fault string, item_id string"
    )
    found = drafts.transform(judge_attributes("item_id")).orderBy("line").select("reason", "detail").collect()
    assert [tuple(row) for row in found] == [
        (None, None),
        ("missing_item_id", "item_id is blank"),
        ("malformed", "no JSON"),
    ]
