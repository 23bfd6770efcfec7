from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from recsys_spark import cli, log
from recsys_spark.cli import main
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
