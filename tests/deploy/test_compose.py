"""docker-compose.yaml by its text, and by Docker's client where there is one; and the script of its nightly job."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from recsys_spark.cli import parse
from recsys_spark.config import load_config
from recsys_spark.serving.main import _parser
from tests.deploy import HERE
from tests.deploy.test_dockerfile import BY_NAME, STAGES

TEXT = (HERE / "docker-compose.yaml").read_text(encoding="utf-8")
FILE = yaml.safe_load(TEXT)
SERVICES = FILE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def settings_of(command: list[str]) -> list[str]:
    return [value for option, value in pairwise(command) if option == "--set"]


def test_it_has_a_database_a_service_and_a_night():
    assert set(SERVICES) == {"postgres", "serve", "nightly"}
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", SERVICES["postgres"]["image"])
    for name, service in OURS.items():
        target = service["build"].get("target", "")
        stage = BY_NAME.get(target) or STAGES[-1]
        assert stage.name == target and service["build"]["context"] == ".", name
        assert not service["image"].endswith(":latest") and ":" in service["image"]


def test_what_is_used_is_declared():
    used = {mount.partition(":")[0] for service in SERVICES.values() for mount in service["volumes"]}
    assert used == set(FILE["volumes"])
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            assert "healthcheck" in SERVICES[other] or how["condition"] != "service_healthy"


def test_nothing_runs_as_root_or_listens_to_strangers():
    assert SERVICES["postgres"]["user"] == "postgres"
    for service in SERVICES.values():
        assert "no-new-privileges:true" in service["security_opt"]
        assert (not service.get("privileged") and "user" not in service) or service["user"] != "root"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_mounted_folders_belong_to_the_user_of_the_images():
    for name, service in OURS.items():
        stage = BY_NAME["serve" if name == "serve" else "app"]
        owned = next(run for run in stage.all("RUN") if "install --directory --owner recsys" in run).split()
        assert {mount.split(":")[1] for mount in service["volumes"]} <= set(owned)


def test_the_commands_are_those_that_we_have():
    serve = _parser().parse_args(SERVICES["serve"]["command"])
    served = load_config(settings=serve.settings)
    script, *night = SERVICES["nightly"]["command"]
    assert os.access(HERE / script, os.X_OK)
    parsed = parse("pipeline", "", [str(HERE / word) if word.startswith("conf/") else word for word in night])
    assert parsed is not None and load_config(settings=settings_of(night)).store == served.store
    feedback = SERVICES["nightly"]["environment"]["RECSYS_FEEDBACK"]
    assert served.serve.events_dir == feedback
    for service in OURS.values():
        assert f"feedback:{feedback}" in service["volumes"]
        assert served.store.dsn_env in service["environment"]


def test_no_secret_stands_in_it_and_every_variable_is_told():
    page = (HERE / "docs" / "serving.md").read_text(encoding="utf-8")
    given = {name for service in SERVICES.values() for name in service["environment"]}
    asked = set(re.findall(r"\$\{(\w+)", TEXT))
    assert {name for name in given | asked if name.startswith("RECSYS_")} <= set(re.findall(r"`(RECSYS_\w+)`", page))
    for file in (".dockerignore", ".gitignore"):
        assert ".env" in (HERE / file).read_text(encoding="utf-8").splitlines()
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            assert "PASSWORD" not in name or re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)
            assert not re.search(r"://\w+:[^@]*@", value)


def test_dockers_client_reads_it():
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    environment = {**os.environ, "RECSYS_POSTGRES_PASSWORD": "for the test"}
    command = [docker, "compose", "--profile", "nightly", "config", "--quiet"]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    del environment["RECSYS_POSTGRES_PASSWORD"]
    without = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=60)
    assert without.returncode != 0 and "RECSYS_POSTGRES_PASSWORD" in without.stderr


@pytest.fixture
def night(tmp_path: Path):
    """`night(*codes, **variables)`: the script with jobs that only write down how they were called."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(HERE / "scripts" / "night.sh", tmp_path / "scripts")
    jobs = tmp_path / ".venv" / "bin" / "spark-submit"
    jobs.parent.mkdir(parents=True)
    jobs.write_text('#!/bin/sh\necho "$@" >> called\nexit "$(sed -n "$(wc -l < called)p" codes)"\n')
    jobs.chmod(0o755)

    def play(*codes: int, **variables: str) -> tuple[int, list[str]]:
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        environment = {name: value for name, value in os.environ.items() if name != "RECSYS_FEEDBACK"} | variables
        command = [str(tmp_path / "scripts" / "night.sh"), "--config", "conf/shop.yaml"]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=30)
        return done.returncode, (tmp_path / "called").read_text().splitlines()

    return play


def test_a_night_takes_in_what_was_told_and_then_does_the_rest(night):
    code, called = night(0, 3, RECSYS_FEEDBACK="/data/told")
    assert (code, called) == (
        3,
        [
            "jobs/ingest.py --config conf/shop.yaml --config conf/feedback.yaml --set ingest.path=/data/told/*.jsonl",
            "jobs/pipeline.py --config conf/shop.yaml",
        ],
    )
    arguments = [str(HERE / "conf" / "feedback.yaml") if "feedback" in word else word for word in called[0].split()[3:]]
    assert parse("ingest", "", arguments) is not None


def test_a_night_without_feedback_is_the_pipeline(night):
    assert night(0) == (0, ["jobs/pipeline.py --config conf/shop.yaml"])


def test_a_night_ends_where_feedback_cannot_be_taken_in(night):
    assert night(2, 0, RECSYS_FEEDBACK="/data/told")[0] == 2
