"""`make serve` as the README has it, on a store that was loaded by hand, and the README's commands against it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from recsys_spark.serving.embedded_files import EmbeddedKeeper
from tests.serving.live_models import HISTORIES, save_live
from tests.serving.nights import load
from tests.serving.service import free_port

HERE = Path(__file__).parent.parent.parent
CURL = re.findall(r"^curl .*$", (HERE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2.0) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def test_make_serve_answers_the_readmes_curl(tmp_path):
    if shutil.which("make") is None or shutil.which("curl") is None:
        pytest.skip("make or curl is not installed")
    keeper = EmbeddedKeeper(str(tmp_path / "artifacts" / "store"))
    load(keeper, "first", histories=HISTORIES, model=partial(save_live, in_context=True))
    port = free_port()
    # -o: set-up is taken for done, as the tests run in what it made
    command = ["make", "--no-print-directory", "-o", "setup", "serve", f"ROOT={tmp_path}", f"PORT={port}"]
    with (tmp_path / "log").open("w") as said:
        service = subprocess.Popen(command, cwd=HERE, stdout=said, stderr=said, start_new_session=True)
    try:
        until = time.monotonic() + 60.0
        while not answers(f"http://127.0.0.1:{port}/readyz") and time.monotonic() < until:
            assert service.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        assert len(CURL) >= 3
        for line in CURL:
            asked = [*shlex.split(line.replace(":8000", f":{port}")), "--silent", "--fail"]
            done = subprocess.run(asked, capture_output=True, text=True, timeout=20)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            assert isinstance(json.loads(done.stdout), dict)
    finally:
        os.killpg(service.pid, signal.SIGTERM)
        service.wait(20.0)
        until = time.monotonic() + 20.0
        while answers(f"http://127.0.0.1:{port}/healthz") and time.monotonic() < until:
            time.sleep(0.1)
    (told,) = (tmp_path / "feedback").glob("*.jsonl")
    assert json.loads(told.read_text())["event_type"] == "click"
