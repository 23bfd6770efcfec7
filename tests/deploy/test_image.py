"""The image of the service as far as it goes without Docker: its steps, command and health check, in a fresh environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from recsys_spark.serving.embedded_files import EmbeddedKeeper
from tests.deploy import HERE
from tests.deploy.test_dockerfile import BY_NAME
from tests.serving.nights import load
from tests.serving.service import free_port

HEAVY = ["pyspark", "delta", "tensorflow", "keras", "horovod", "petastorm", "mlflow", "pandas", "pip"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("image") / "recsys"
    variables = {**os.environ, "PYTHON": sys.executable}
    variables.pop("PYTHONPATH", None)
    made = subprocess.run(
        [str(HERE / "scripts" / "image.sh"), "serve", str(folder)],
        env=variables, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    return folder


def command_of(stage: str, word: str, port: int) -> list[str]:
    (text,) = BY_NAME[stage].all(word)
    return [part.replace("8000", str(port)) for part in json.loads(text[text.index("[") :])]


def test_the_image_of_the_jobs_is_what_set_up_makes(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "image.sh").write_text((HERE / "scripts" / "image.sh").read_text())
    setup = tmp_path / "scripts" / "setup.sh"
    setup.write_text('#!/bin/sh\necho "$RECSYS_EXTRAS" >extras\n')
    setup.chmod(0o755)
    (asked,) = (word for words in BY_NAME["app"].all("ENV") for word in words.split() if "RECSYS_EXTRAS" in word)
    variables = {name: value for name, value in os.environ.items() if name != "RECSYS_EXTRAS"}
    subprocess.run(["bash", "scripts/image.sh", "jobs"], cwd=tmp_path, env=variables, check=True)
    assert f"RECSYS_EXTRAS={(tmp_path / 'extras').read_text().strip()}" == asked
    refused = subprocess.run(["bash", "scripts/image.sh", "serve"], cwd=tmp_path, capture_output=True, check=False)
    assert refused.returncode == 2


@pytest.mark.slow
def test_the_service_answers_from_an_environment_without_spark_and_tensorflow(environment, tmp_path):
    check = "import sys, importlib.util as i; print([n for n in sys.argv[1:] if i.find_spec(n)])"
    there = subprocess.run(
        [str(environment / "bin" / "python"), "-I", "-c", check, *HEAVY], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == "[]"
    load(EmbeddedKeeper(str(tmp_path / "artifacts" / "store")), "first")
    port = free_port()
    variables = {"PATH": f"{environment / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)}
    health = command_of("serve", "HEALTHCHECK", port)
    asked = lambda: subprocess.run(health, env=variables, capture_output=True, timeout=20).returncode  # noqa: E731
    assert asked() != 0
    command = [*command_of("serve", "ENTRYPOINT", port), "--root", str(tmp_path)]
    command += ["--set", f"serve.events_dir={tmp_path / 'told'}"]
    service = subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60.0
        while asked() != 0 and time.monotonic() < until:
            time.sleep(0.2)
        assert asked() == 0
        with urlopen(f"http://127.0.0.1:{port}/v1/users/ann/recommendations") as answer:
            assert [item["item_id"] for item in json.load(answer)["items"]] == ["i1", "i0", "i2"]
        service.send_signal(signal.SIGTERM)
        assert service.wait(20.0) == 0
        with pytest.raises(URLError):
            urlopen(f"http://127.0.0.1:{port}/healthz")
    finally:
        service.kill()
