from __future__ import annotations

import json
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from recsys_spark import cli, log, runs
from recsys_spark.cli import main
from recsys_spark.config import load_config
from recsys_spark.errors import TrainingError


@pytest.fixture(autouse=True)
def text_by_default(monkeypatch):
    monkeypatch.setenv(log.VARIABLE, "text")


def test_text_is_for_people_and_leaves_fields_out(capsys):
    log.say("train", "epoch 1", run_id="r")
    log.say("train", "no such table", "error")
    said = capsys.readouterr()
    assert said.out == "[train] epoch 1\n"
    assert said.err == "[train] no such table\n"


def test_json_is_one_object_a_line():
    at = datetime(2024, 1, 31, 3, 0, 5, 123456, tzinfo=UTC)
    line = log.json_line("train", 'two\nlines "ü"', "info", at, run_id="r", as_of=date(2024, 1, 30), counts={"rows": 3})
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2024-01-31T03:00:05.123+00:00",
        "level": "info",
        "stage": "train",
        "run_id": "r",
        "as_of": "2024-01-30",
        "counts": {"rows": 3},
        "message": 'two\nlines "ü"',
    }


def test_the_summary_of_a_stage_is_one_object_with_its_counts(monkeypatch, capsys):
    tables = SimpleNamespace(root="root", versions_read={"events": 3}, versions_written={"users": 4})
    monkeypatch.setattr(runs, "Tables", lambda *_: tables)
    run = runs.Run("index", None, load_config(), "root", "p", date(2024, 1, 31), run_id="r", counts={"new_users": 2})
    run.notes, run.status, run.seconds = ["a note"], "done", 1.26
    runs._say_summary(run)
    assert capsys.readouterr().out.splitlines() == [
        "[index] new users: 2", "[index] wrote users (version 4)", "[index] a note", "[index] done in 1.3 s",
    ]  # fmt: skip
    monkeypatch.setenv(log.VARIABLE, "json")
    runs._say_summary(run)
    said = json.loads(capsys.readouterr().out)
    del said["time"]
    assert said == {
        "level": "info",
        "stage": "index",
        "pipeline_id": "p",
        "run_id": "r",
        "as_of": "2024-01-31",
        "status": "done",
        "seconds": 1.3,
        "counts": {"new_users": 2},
        "versions_read": {"events": 3},
        "versions_written": {"users": 4},
        "notes": ["a note"],
        "error": None,
        "message": "done in 1.3 s",
    }


def test_a_users_mistake_is_an_object_on_stdout(capsys):
    assert main("train", description="test", argv=["--log", "json", "--set", "training.rank=2"]) == 2
    said = capsys.readouterr()
    found = [json.loads(line) for line in said.out.splitlines()]
    assert said.err == ""
    assert [(one["level"], one["stage"], one["exit_code"]) for one in found] == [("error", "train", 2)]
    assert "did you mean `training.ranks`" in found[0]["message"]


def test_a_failure_says_its_trace_and_that_it_failed(monkeypatch, capsys):
    def fail(*_):
        raise TrainingError("the loss is not finite")

    monkeypatch.setattr(cli, "_run_all", fail)
    assert main("train", description="test", argv=["--log", "json"]) == 1
    trace, end = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert "TrainingError: the loss is not finite" in trace["message"]
    assert end["level"] == "error" and end["exit_code"] == 1
