"""The command: a line a check whatever the others do, exit codes, JSON."""

from __future__ import annotations

import json
import sys
import time

import pytest

from recsys_spark.config import load_config
from recsys_spark.doctor import main as command
from recsys_spark.doctor.finding import BrokenError, Context, Finding, examine
from recsys_spark.errors import UserError


def well(context):
    return "all is well"


def broken(context):
    raise BrokenError("the wheel\nis off", "put it on")


def crashing(context):
    raise ZeroDivisionError("division by zero\nwith more below")


def ending(context):
    sys.exit(3)


def mistaken(context):
    raise UserError("this Spark has no Delta: run `make setup`")


def silent(context):
    time.sleep(5)
    return "too late"


def test_a_check_that_fails_crashes_or_does_not_answer_stops_no_other():
    checks = {"a": broken, "b": crashing, "c": ending, "d": mistaken, "e": silent, "f": well}
    found = list(examine(checks, Context(load_config(settings=["doctor.seconds=1"]))))
    assert [finding.ok for finding in found] == [False] * 5 + [True]
    lines = [finding.line() for finding in found]
    assert lines[0] == "FAIL  a: the wheel is off; mend: put it on"
    assert lines[1].startswith("FAIL  b: ZeroDivisionError: division by zero; mend: see docs/runbook.md")
    assert lines[2].startswith("FAIL  c: SystemExit: 3; mend:")
    assert lines[3] == "FAIL  d: this Spark has no Delta: run `make setup`"
    assert lines[4].startswith("FAIL  e: no answer within 1 s; mend:")
    assert lines[5] == "ok    f: all is well"


def test_exit_codes_and_lines(monkeypatch, capsys):
    monkeypatch.setattr(command, "CHECKS", {"a": well})
    assert command.main([]) == 0
    assert capsys.readouterr().out == "ok    a: all is well\n"
    monkeypatch.setattr(command, "CHECKS", {"a": well, "b": broken})
    assert command.main([]) == 2
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_json_is_one_object(monkeypatch, capsys):
    monkeypatch.setattr(command, "CHECKS", {"a": well, "b": broken})
    assert command.main(["--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "checks": [
            {"check": "a", "ok": True, "what": "all is well", "mend": ""},
            {"check": "b", "ok": False, "what": "the wheel\nis off", "mend": "put it on"},
        ],
    }


def test_a_mistaken_setting_is_a_message_and_exit_2(capsys):
    assert command.main(["--set", "doctor.second=1"]) == 2
    assert "did you mean `doctor.seconds`" in capsys.readouterr().err


def test_the_root_and_the_limits_reach_the_checks(monkeypatch):
    seen = []
    monkeypatch.setattr(command, "CHECKS", {"a": lambda context: seen.append(context) or ""})
    command.main(["--root", "s3a://bucket/recsys", "--set", "doctor.least_disk_mib=7"])
    assert (seen[0].root, seen[0].config.doctor.least_disk_mib) == ("s3a://bucket/recsys", 7)


@pytest.mark.parametrize("name", ["python", "java", "packages", "horovod", "petastorm", "memory", "/dev/shm", "disk"])
def test_what_needs_no_spark_is_asked_before_it_starts(name):
    order = list(command.CHECKS)
    assert order.index(name) < order.index("delta")


def test_a_finding_is_one_line():
    assert Finding("x", False, "a\n  b\tc", "d").line() == "FAIL  x: a b c; mend: d"


@pytest.mark.slow
def test_the_command_finds_nothing_wrong_here(tmp_path, capsys):
    code = command.main(["--root", str(tmp_path / "root"), "--set", "doctor.least_disk_mib=1"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert len(said.splitlines()) == len(command.CHECKS)
