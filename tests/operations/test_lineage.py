from __future__ import annotations

import dataclasses
from datetime import date, timedelta

from recsys_spark.operations.lineage import Link, chain, lines
from tests.operations.helpers import START, ran


def at(run, minutes):
    return dataclasses.replace(run, started_at=START + timedelta(days=run.as_of.day - 1, minutes=minutes))


# Two nights. On the second no user is new, so `users` is still what the first night's index left.
NIGHTS = [
    at(ran("ingest-1", 1, {}, {"events": 1}), 0),
    at(ran("index-1", 1, {"events": 1}, {"users": 1, "items": 1, "interactions": 1}), 1),
    at(ran("examples-1", 1, {"interactions": 1}, {"train_examples": 2}), 2),
    at(ran("train-1", 1, {"train_examples": 2, "users": 1}, {"models": 2}), 3),
    at(ran("recommend-1", 1, {"models": 2, "interactions": 1, "users": 1}, {"recommendations": 1}), 4),
    at(ran("ingest-2", 2, {"events": 1}, {"events": 2}), 0),
    at(ran("index-2", 2, {"events": 2, "users": 1, "items": 1}, {"items": 2, "interactions": 2}), 1),
    at(ran("recommend-2", 2, {"models": 2, "interactions": 2, "users": 1, "items": 2}, {"recommendations": 2}), 4),
]


def ids(steps):
    return [step.run.run_id for step in steps]


def test_a_first_night_leads_back_to_its_ingest():
    assert ids(chain(NIGHTS, "recommend-1")) == ["recommend-1", "train-1", "examples-1", "index-1", "ingest-1"]


def test_a_later_night_leans_on_both_newest_first():
    assert ids(chain(NIGHTS, "recommend-2")) == [
        "recommend-2", "index-2", "ingest-2", "train-1", "examples-1", "index-1", "ingest-1",
    ]  # fmt: skip


def test_tables_that_grow_count_the_runs_before():
    step = next(step for step in chain(NIGHTS, "recommend-2") if step.run.run_id == "index-2")
    index_1, ingest_2 = NIGHTS[1], NIGHTS[5]
    assert step.links == (
        Link("events", 2, ingest_2, 1),
        Link("items", 1, index_1, 0),
        Link("users", 1, index_1, 0),
    )


def test_slices_are_of_the_readers_own_date_whatever_was_written_since():
    backfill = [*NIGHTS, at(ran("index-3", 1, {"events": 2}, {"interactions": 3}), 600)]
    again = [*backfill, at(ran("recommend-3", 2, {"interactions": 3}, {"recommendations": 3}), 700)]
    (link,) = chain(again, "recommend-3")[0].links
    assert link.writer is not None and link.writer.run_id == "index-2"


def test_the_model_is_the_one_that_was_used():
    other = at(ran("train-2", 2, {"users": 1}, {"models": 3}), 2)
    later = at(ran("recommend-3", 2, {"models": 3}, {"recommendations": 3}), 5)
    assert ids(chain([*NIGHTS, other, later], "recommend-3"))[:2] == ["recommend-3", "train-2"]
    assert ids(chain([*NIGHTS, other, later], "recommend-3", trained_by="train-1"))[:2] == ["recommend-3", "train-1"]


def test_upkeep_writes_versions_but_no_rows():
    joined = at(ran("maintain-2", 2, {}, {"events": 3}), 9)
    reader = at(ran("index-3", 3, {"events": 3}, {"interactions": 3}), 1)
    (link,) = chain([*NIGHTS, joined, reader], "index-3")[0].links
    assert link.writer is not None and link.writer.run_id == "ingest-2"


def test_a_run_that_left_no_row_is_said():
    lonely = ran("index-1", 1, {"events": 4})
    assert chain([lonely], "index-1")[0].links == (Link("events", 4, None, 0),)
    assert chain([lonely], "index-9") == []


def test_the_text_has_a_line_a_run_and_one_a_table():
    steps = chain(NIGHTS, "index-2")
    assert list(lines(steps)) == [
        "index index-2: as of 2024-01-02, done, started 2024-01-02 00:01:00 UTC, code 0.1.0, configuration hash",
        "  read events version 2, written by ingest ingest-2 and 1 run(s) before it",
        "  read items version 1, written by index index-1",
        "  read users version 1, written by index index-1",
        "  wrote interactions version 2",
        "  wrote items version 2",
        "ingest ingest-2: as of 2024-01-02, done, started 2024-01-02 00:00:00 UTC, code 0.1.0, configuration hash",
        "  read events version 1, written by ingest ingest-1",
        "  wrote events version 2",
    ]
    assert steps[0].run.as_of == date(2024, 1, 2)
