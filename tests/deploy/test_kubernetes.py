"""The Kubernetes manifests and the image: they agree with one another, with Spark's contract and with the jobs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml

from recsys_spark import cli
from recsys_spark.config import load_config
from recsys_spark.errors import EXIT_GATED, EXIT_USER_ERROR
from recsys_spark.stages import PIPELINE
from tests.deploy import HERE, stages_of

FOLDER = HERE / "deploy" / "kubernetes"
ENTRY = FOLDER / "entrypoint.sh"
APP = "/home/recsys/app"
# As Spark's Kubernetes back end tells an executor, by the constants below.
TOLD = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.0.0.1:7078", "SPARK_EXECUTOR_ID": "7",
    "SPARK_EXECUTOR_CORES": "4", "SPARK_EXECUTOR_MEMORY": "8192m", "SPARK_APPLICATION_ID": "spark-app",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.2", "SPARK_EXECUTOR_POD_NAME": "night-exec-7", "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_CONF_DIR": "/opt/spark/conf", "SPARK_JAVA_OPT_0": "-Da=b c", "SPARK_JAVA_OPT_1": "-Dd='e'",
}  # fmt: skip


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def named(kind: str) -> str:
    return str(next(d for d in documents("rbac.yaml") if d["kind"] == kind)["metadata"]["name"])


@pytest.fixture(scope="module")
def night() -> dict[str, Any]:
    (cron,) = documents("nightly.yaml")
    spec: dict[str, Any] = cron["spec"]
    return spec


@pytest.fixture(scope="module")
def command(night) -> list[str]:
    """The words of the driver's command line, variables and dates filled in as the shell would."""
    (driver,) = night["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    shell, option, line = driver["args"]
    assert (shell, option) == ("/bin/bash", "-c") and line.startswith("exec spark-submit ")
    names = {entry["name"] for entry in driver["env"]}
    assert set(re.findall(r"\$(\w+)", line)) == names
    return shlex.split(re.sub(r"\$\(date [^)]*\)", "2026-01-31", line))


def test_one_night_at_a_time_and_only_what_can_mend_itself_is_tried_again(night):
    assert night["concurrencyPolicy"] == "Forbid" and len(night["schedule"].split()) == 5
    job = night["jobTemplate"]["spec"]
    fail, ignore = job["podFailurePolicy"]["rules"]
    (driver,) = job["template"]["spec"]["containers"]
    codes = fail["onExitCodes"]
    assert (fail["action"], codes["containerName"], codes["operator"]) == ("FailJob", driver["name"], "In")
    assert codes["values"] == [EXIT_USER_ERROR, EXIT_GATED]
    assert ignore["action"] == "Ignore"
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # which a podFailurePolicy asks for
    waits = [min(10 * 2**n, 360) for n in range(job["backoffLimit"])]  # seconds, of Kubernetes' documentation
    assert sum(waits) > load_config().run.lease_seconds


def test_the_driver_submits_the_pipeline_with_arguments_that_it_takes(command):
    at = next(n for n, word in enumerate(command) if word.endswith(".py"))
    assert command[at] == f"{APP}/jobs/pipeline.py"
    arguments = [word.replace(APP, str(HERE)) for word in command[at + 1 :]]
    parsed = cli.parse("pipeline", "", arguments)
    assert parsed is not None and str(parsed.as_of) == "2026-01-31"
    assert stages_of("pipeline", parsed) == PIPELINE
    settings = dict(word.split("=", 1) for word in command if word.startswith("spark."))
    assert parsed.config.training.ranks <= int(settings["spark.executor.instances"]) * int(
        settings["spark.executor.cores"]
    )
    assert settings["spark.dynamicAllocation.enabled"] == "false"


def test_manifests_name_what_the_others_declare(night, command):
    pod = night["jobTemplate"]["spec"]["template"]["spec"]
    (executor,) = documents("executor.yaml")
    settings = dict(word.split("=", 1) for word in command if word.startswith("spark."))
    template = settings["spark.kubernetes.executor.podTemplateFile"]
    assert HERE / template.removeprefix(f"{APP}/") == FOLDER / "executor.yaml"
    assert settings["spark.kubernetes.executor.podTemplateContainerName"] == executor["spec"]["containers"][0]["name"]
    account = named("ServiceAccount")
    assert {pod["serviceAccountName"], settings["spark.kubernetes.authenticate.executor.serviceAccountName"]} == {
        account
    }
    (binding,) = [d for d in documents("rbac.yaml") if d["kind"] == "RoleBinding"]
    assert (binding["subjects"][0]["name"], binding["roleRef"]["name"]) == (account, named("Role"))
    users = set(re.findall(r"useradd .*--uid (\d+)", (HERE / "Dockerfile").read_text()))
    for spec in (pod, executor["spec"]):
        assert {str(spec["securityContext"]["runAsUser"])} == users
        (volume,) = spec["volumes"]
        (mount,) = spec["containers"][0]["volumeMounts"]
        assert volume["persistentVolumeClaim"]["claimName"] == named("PersistentVolumeClaim")
        assert volume["name"] == mount["name"] and any(word.startswith(f"{mount['mountPath']}/") for word in command)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """The entry point with a `java` and a `spark-submit` that print their arguments, one a line, and exit with 3."""
    for name in ("java", "bin/spark-submit"):
        stand_in = tmp_path / name
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\nexit 3\n')
        stand_in.chmod(0o755)

    def call(*arguments: str, **told: str) -> list[str]:
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(
            [ENTRY, *arguments], env={"PATH": path, "SPARK_HOME": str(tmp_path), **told}, capture_output=True, text=True
        )
        assert done.returncode == 3, done.stderr
        return done.stdout.splitlines()

    return call


def test_an_executor_starts_with_what_spark_tells_it(run, tmp_path):
    printed = run("executor", **TOLD)
    assert printed == [
        "-Da=b c", "-Dd='e'", "-Xms8192m", "-Xmx8192m", "-cp", f"/opt/spark/conf:{tmp_path}/jars/*",
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
        "--driver-url", TOLD["SPARK_DRIVER_URL"], "--executor-id", "7", "--cores", "4", "--app-id", "spark-app",
        "--hostname", "10.0.0.2", "--resourceProfileId", "0", "--podName", "night-exec-7",
    ]  # fmt: skip


def test_a_driver_is_a_submission_in_its_own_pod_and_all_else_is_run_as_it_stands(run):
    printed = run("driver", "--class", "x", "local:///a b.py", SPARK_DRIVER_BIND_ADDRESS="10.0.0.1")
    assert printed[:2] == ["--deploy-mode", "client"] and "spark.driver.bindAddress=10.0.0.1" in printed
    assert printed[-3:] == ["--class", "x", "local:///a b.py"]
    assert run("bash", "-c", "exit 3") == []


def test_the_entry_point_knows_the_names_that_this_sparks_back_end_has():
    jars = Path(pyspark.__file__).parent / "jars"
    (kubernetes,) = jars.glob("spark-kubernetes_*.jar")
    with zipfile.ZipFile(kubernetes) as jar:
        constants = jar.read("org/apache/spark/deploy/k8s/Constants$.class")
        back_end = jar.read("org/apache/spark/scheduler/cluster/k8s/KubernetesExecutorBackend$.class")
    script = ENTRY.read_text()
    read = set(re.findall(r"\$\{?(SPARK_\w+)", script)) - {"SPARK_HOME"}
    assert [name for name in sorted(read) if name.encode() not in constants] == []
    assert read | {"SPARK_JAVA_OPT_0", "SPARK_JAVA_OPT_1"} >= set(TOLD)
    options = re.findall(r"--([\w-]+) \"\$SPARK_", script)
    assert len(options) == 7
    assert [option for option in options if option.encode() not in back_end] == []
