"""The asset bundle: its keys are Databricks' own, its files exist, its arguments parse, its tasks are the pipeline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.sdk.service.jobs import JobSettings

from recsys_spark import cli
from recsys_spark.config import load_config
from recsys_spark.notebooks import PARAMETERS
from recsys_spark.stages import PIPELINE
from tests.deploy import HERE, stages_of
from tests.deploy.bundle_schema import Bundle, Included, wrong

BUNDLE = HERE / "deploy" / "databricks"
GIVEN = {"examples": "s3://bucket/examples", "source": "/Volumes/main/recsys/downloads"}
RUNTIMES = {"15.4": {"pyspark": "3.5", "python": "3.11"}}  # of Databricks' release notes
REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


ROOT = read(BUNDLE / "databricks.yml")
RESOURCES = {file: read(file) for pattern in ROOT["include"] for file in BUNDLE.glob(pattern)}


def variables(target: str) -> dict[str, Any]:
    declared = {
        name: entry for part in (ROOT, *RESOURCES.values()) for name, entry in part.get("variables", {}).items()
    }
    chosen = {name: entry["default"] for name, entry in declared.items() if "default" in entry}
    chosen |= GIVEN | ROOT["targets"][target]["variables"]
    assert set(chosen) == set(declared), "a variable has no value, or a value no variable"
    return chosen


def expanded(content: Any, values: Mapping[str, Any]) -> Any:
    """The content with every `${...}` replaced; one that makes up a whole string keeps its type."""
    if isinstance(content, dict):
        return {key: expanded(entry, values) for key, entry in content.items()}
    if isinstance(content, list):
        return [expanded(entry, values) for entry in content]
    if not isinstance(content, str):
        return content
    if whole := REFERENCE.fullmatch(content):
        return expanded(values[whole[1]], values)
    return REFERENCE.sub(lambda found: str(expanded(values[found[1]], values)), content)


def job(name: str, target: str) -> tuple[Path, dict[str, Any]]:
    """The file that declares a job, and the job as a target deploys it."""
    values = {f"var.{key}": value for key, value in variables(target).items()}
    values |= {"workspace.file_path": str(HERE), "workspace.artifact_path": ROOT["workspace"]["artifact_path"]}
    file = next(file for file, content in RESOURCES.items() if name in content.get("resources", {}).get("jobs", {}))
    return file, expanded(RESOURCES[file]["resources"]["jobs"][name], values)


def is_synced(file: Path) -> bool:
    return any((BUNDLE / folder).resolve() in file.parents for folder in ROOT["sync"]["paths"])


@pytest.mark.parametrize("target", ROOT["targets"])
def test_every_key_is_one_that_databricks_has_with_a_value_of_its_type(target):
    values = {f"var.{key}": value for key, value in variables(target).items()}
    values |= {f"workspace.{name}": "/Workspace" for name in ("file_path", "artifact_path")}
    values |= {"bundle.name": "recsys-spark", "bundle.target": target}
    assert list(wrong(expanded(ROOT, values), Bundle)) == []
    for file, content in RESOURCES.items():
        assert list(wrong(expanded(content, values), Included, file.name)) == []


@pytest.mark.parametrize(
    ("at", "change", "said"),
    [
        ((), {"max_concurrent_run": 1}, ": max_concurrent_run is no key of JobSettings"),
        ((), {"timeout_seconds": "an hour"}, ".timeout_seconds: 'an hour' is no <class 'int'>"),
        (("schedule",), {"timezone": "UTC"}, ".schedule: timezone is no key of CronSchedule"),
        (("tasks", 0), {"retries": 2}, ".tasks[0]: retries is no key of Task"),
        (
            ("tasks", 0, "spark_python_task"),
            {"args": []},
            ".tasks[0].spark_python_task: args is no key of SparkPythonTask",
        ),
        (
            ("job_clusters", 0, "new_cluster"),
            {"workers": 2},
            ".job_clusters[0].new_cluster: workers is no key of ClusterSpec",
        ),
        (
            ("job_clusters", 0, "new_cluster"),
            {"data_security_mode": "SINGLE"},
            "'SINGLE' is no <enum 'DataSecurityMode'>",
        ),
        (("email_notifications",), {"on_failure": [{"id": "x"}]}, ".on_failure[0]: {'id': 'x'} is no <class 'str'>"),
    ],
)
def test_a_key_or_a_value_that_databricks_has_not_is_seen(at, change, said):
    nightly = deepcopy(job("nightly", "prod")[1])
    assert list(wrong(nightly, JobSettings)) == []
    place = nightly
    for step in at:
        place = place[step]
    place |= change
    (found,) = wrong(nightly, JobSettings)
    assert said in found
    assert list(wrong({"bundle": {}, "target": {}}, Bundle)) == [
        ".bundle: name is missing",
        ": target is no key of Bundle",
    ]


@pytest.mark.parametrize("target", ROOT["targets"])
def test_the_tasks_one_after_the_other_are_the_pipeline(target):
    file, nightly = job("nightly", target)
    run, configs = (), set()
    for task in nightly["tasks"]:
        script = (file.parent / task["spark_python_task"]["python_file"]).resolve()
        parsed = cli.parse(script.stem, "", task["spark_python_task"]["parameters"])
        assert (
            parsed is not None
            and parsed.as_of == datetime.now(UTC).date() - timedelta(days=1)  # it runs after midnight
            and parsed.root == f"main.{variables(target)['schema']}"
            and is_synced(script)
        )
        assert (parsed.config.ingest.path, parsed.config.training.ranks) == (GIVEN["source"], 2)
        assert all(parsed.config.storage.model_dump().values()), "a root that is a catalogue needs all three"
        run += stages_of(script.stem, parsed)
        configs.add(parsed.config.digest())
    assert run == PIPELINE and len(configs) == 1
    keys = [{"task_key": task["task_key"]} for task in nightly["tasks"]]
    assert [task.get("depends_on") for task in nightly["tasks"]] == [None, *([key] for key in keys[:-1])]


def test_what_a_gate_stopped_is_not_tried_again_and_a_killed_run_once_its_lease_is_free():
    *before, publish = job("nightly", "prod")[1]["tasks"]
    assert (publish["task_key"], publish["max_retries"]) == ("publish", 0)
    for task in before:
        assert task["max_retries"] > 0
        assert task["min_retry_interval_millis"] > 1000 * load_config().run.lease_seconds


@pytest.mark.parametrize("name", ["nightly", "quickstart"])
def test_jobs_run_one_at_a_time_on_a_cluster_of_the_tested_versions(name):
    declared = job(name, "prod")[1]
    assert declared["max_concurrent_runs"] == 1
    (cluster,) = declared["job_clusters"]
    assert {task["job_cluster_key"] for task in declared["tasks"]} == {cluster["job_cluster_key"]}
    runtime = RUNTIMES[re.match(r"\d+\.\d+", cluster["new_cluster"]["spark_version"])[0]]
    lock, setup = ((HERE / file).read_text() for file in ("requirements.lock", "setup.py"))
    assert re.search(r"^pyspark==(\d+\.\d+)", lock, re.MULTILINE)[1] == runtime["pyspark"]
    assert f'python_requires=">={runtime["python"]},' in setup
    assert cluster["new_cluster"]["data_security_mode"] == "SINGLE_USER"


def test_a_failed_night_tells_people_and_runs_are_scheduled():
    nightly = job("nightly", "prod")[1]
    assert nightly["email_notifications"] == nightly["webhook_notifications"] == {"on_failure": []}
    assert len(nightly["schedule"]["quartz_cron_expression"].split()) == 6
    assert ROOT["targets"]["dev"]["mode"] == "development"  # which pauses the schedule


def test_the_quickstart_notebook_exists_and_its_settings_hold():
    file, quickstart = job("quickstart", "dev")
    (task,) = quickstart["tasks"]
    notebook = (file.parent / task["notebook_task"]["notebook_path"]).resolve()
    assert notebook.is_file() and is_synced(notebook)
    parameters = task["notebook_task"]["base_parameters"]
    assert set(parameters) == set(PARAMETERS) and "from recsys_spark.notebooks import" in notebook.read_text()
    assert all(load_config(settings=parameters["settings"].split()).storage.model_dump().values())


def test_the_init_script_finds_what_is_uploaded(tmp_path):
    script = (BUNDLE / "init.sh").read_text()
    subprocess.run(["bash", "-n", BUNDLE / "init.sh"], check=True)
    uploaded = {Path(file["source"]).name for artifact in ROOT["artifacts"].values() for file in artifact["files"]}
    assert uploaded == {"init.sh", *re.findall(r'RECSYS_DIST"?/([\w.*-]+)', script)}
    cluster = job("nightly", "dev")[1]["job_clusters"][0]["new_cluster"]
    folder = cluster["spark_env_vars"]["RECSYS_DIST"]
    assert cluster["init_scripts"] == [{"volumes": {"destination": f"{folder}/init.sh"}}]
    assert os.access(BUNDLE / "init.sh", os.X_OK)

    shutil.copy(HERE / "requirements.lock", tmp_path)
    subprocess.run(ROOT["artifacts"]["packages"]["build"], shell=True, cwd=tmp_path, check=True)
    packages = (tmp_path / "dist" / "cluster.txt").read_text().splitlines()
    names = {package.partition("==")[0] for package in packages}
    assert {"petastorm", "tensorflow_cpu", "deltalake"} <= names
    assert not names & {"ipykernel", "ipython", "jupyterlab", "nbclient", "notebook_shim", "traitlets", "tornado"}
    assert not names & {"pyspark", "py4j", "delta-spark", "pip"} and all("==" in package for package in packages)
