"""The DAG of the docs, run against a stand-in for Airflow that notes what it is told."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from pathlib import Path
from runpy import run_path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from recsys_spark import cli
from recsys_spark.config import load_config
from recsys_spark.stages import PIPELINE
from tests.deploy import HERE, stages_of

PATH = HERE / "docs" / "airflow_dag.py"


class AirflowException(Exception):  # noqa: N818
    pass


class AirflowFailException(AirflowException):
    pass


class Operator:
    """The operator of Airflow's Spark provider, whose submission ends with `code`."""

    all: ClassVar[list[Operator]] = []
    code = 0

    def __init__(self, **told: Any) -> None:
        self.told, self.after = told, []
        Operator.all.append(self)

    def __rshift__(self, other: Operator) -> Operator:
        other.after.append(self.told["task_id"])
        return other

    def execute(self, context: Any) -> None:
        if self.code:  # as SparkSubmitHook words it
            raise AirflowException(f"Cannot execute: spark-submit --master yarn. Error code is: {self.code}.")


class Dag:
    def __init__(self, **told: Any) -> None:
        self.told = told

    def __enter__(self) -> Dag:
        Dag.latest = self
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def dag(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(Operator, "all", [])
    known = {
        "airflow": {"DAG": Dag},
        "airflow.exceptions": {"AirflowException": AirflowException, "AirflowFailException": AirflowFailException},
        "airflow.timetables.interval": {"CronDataIntervalTimetable": lambda cron, timezone: (cron, timezone)},
        "airflow.providers.apache.spark.operators.spark_submit": {"SparkSubmitOperator": Operator},
    }
    for name, content in known.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return run_path(str(PATH))


def test_the_tasks_one_after_the_other_are_the_pipeline(dag):
    run: tuple[str, ...] = ()
    for job in Operator.all:
        folder, _, script = job.told["application"].rpartition("/")
        assert folder == f"{dag['PROJECT']}/jobs"
        templated = [word.replace(dag["PROJECT"], str(HERE)) for word in job.told["application_args"]]
        assert "{{ data_interval_start | ds }}" in templated
        arguments = [re.sub(r"\{\{.*\}\}", "2026-01-31", word) for word in templated]
        parsed = cli.parse(Path(script).stem, "", arguments)
        assert parsed is not None and str(parsed.as_of) == "2026-01-31"
        run += stages_of(Path(script).stem, parsed)
    assert run == PIPELINE
    tasks = [job.told["task_id"] for job in Operator.all]
    assert [job.after for job in Operator.all] == [[], *([task] for task in tasks[:-1])]


def test_one_day_runs_at_a_time_and_missed_days_are_made_up_for(dag):
    assert Dag.latest.told["max_active_runs"] == 1 and Dag.latest.told["catchup"] is True
    assert Dag.latest.told["schedule"] == ("30 2 * * *", "UTC")
    *before, publish = Operator.all
    assert publish.told["retries"] == 0
    free = timedelta(seconds=load_config().run.lease_seconds)
    assert all(job.told["retries"] > 0 and job.told["retry_delay"] > free for job in before)


@pytest.mark.parametrize(
    ("code", "error"), [(1, AirflowException), (2, AirflowFailException), (3, AirflowFailException)]
)
def test_mistakes_and_gates_are_not_tried_again(dag, monkeypatch, code, error):
    monkeypatch.setattr(Operator, "code", code)
    with pytest.raises(AirflowException) as raised:
        Operator.all[-1].execute({})
    assert raised.type is error


def test_a_job_that_is_done_raises_nothing(dag):
    Operator.all[0].execute({})
