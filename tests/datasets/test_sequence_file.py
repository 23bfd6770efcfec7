from __future__ import annotations

from tests.datasets.helpers import opened, rows, write


def test_the_line_stands_for_the_time(spark, tmp_path):
    path = write(tmp_path / "Video.txt", "1 6393\n1 13504 \n\n2\t6393\n3\n")
    events = opened(spark, "format=sequence_file", f"path={path}", "event_type=play").events
    assert rows(events, "user_id", "item_id", "cast(event_time as string)", "event_type", "event_value", "fault") == [
        ("1", "6393", "1970-01-01 00:00:01", "play", None, None),
        ("1", "13504", "1970-01-01 00:00:02", "play", None, None),
        ("2", "6393", "1970-01-01 00:00:04", "play", None, None),
        ("3", None, "1970-01-01 00:00:05", "play", None, "expected 2 fields between blanks, found 1"),
    ]
