"""A user with too many events: the latest count, and the run says what does not."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from recsys_spark.interactions.known import known_events, over_the_cap, without_older
from recsys_spark.schemas import EVENTS
from tests.frames import events

# e0 to e4 are the crawler's; e1, e2 and e3 are of one hour, where the order in the source decides
ROWS = [
    ("crawler", "i1", 1), ("crawler", "i2", 5), ("crawler", "i3", 5), ("crawler", "i4", 5), ("crawler", "i5", 9),
    ("calm", "i1", 2), ("calm", "i2", 3), ("calm", "i1", 4), ("new", "i9", 30),
]  # fmt: skip
LIMIT = 1 << 20


def ids(frame):
    return sorted(row["event_id"] for row in frame.collect())


def test_the_latest_events_of_a_user_with_too_many_are_kept(spark):
    frame = events(spark, ROWS)
    over = over_the_cap(frame, 3, LIMIT)
    assert [(row["user_id"], row["events"]) for row in over] == [("crawler", 5)]
    kept = frame.transform(without_older(over))
    assert ids(kept) == ["e2", "e3", "e4", "e5", "e6", "e7", "e8"]
    assert kept.columns == frame.columns


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 5])
def test_ties_fall_by_order_and_then_by_id_whatever_the_partitions(spark, parts):
    frame = events(spark, ROWS).withColumn("event_order", F.lit(None).cast("long"))
    shuffled = frame.orderBy(F.desc("event_id")).repartition(parts)
    assert ids(shuffled.transform(without_older(over_the_cap(shuffled, 2, LIMIT)))) == ["e3", "e4", "e6", "e7", "e8"]


def test_what_is_left_out_is_counted_and_said(spark, make_run):
    def run_with(most):
        return make_run("index", f"interactions.max_user_events={most}", as_of="2024-01-01")

    run = run_with(2)
    run.tables.append(EVENTS, events(spark, ROWS))
    known_events(run)
    assert ids(known_events(run)) == ["e3", "e4", "e6", "e7"]  # e8 is of the next day
    assert run.counts == {"users_over_the_cap": 2, "events_over_the_cap": 4}
    assert run.notes == [
        "2 users had more than 2 events ('crawler': 5, 'calm': 3): the latest 2 of each count, 4 are left out; see "
        "interactions.max_user_events"
    ]
    for most in (0, 9, 5):  # no cap; no more rows than that; nobody has more
        run = run_with(most)
        known_events(run)
        assert not run.notes and not run.counts
