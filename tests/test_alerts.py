"""Hooks, told by a local server and by a command that writes a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from recsys_spark import cli
from recsys_spark.alerts import status_of, tell
from recsys_spark.cli import main
from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.operation_settings import Alerts

FAILED = {"job": "train", "status": "failed", "exit_code": 1, "error": "the loss is not finite"}


class Hook(HTTPServer):
    """A webhook that answers with the given codes, then 200, and keeps what it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.codes: list[int] = []
        self.told: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?key=secret"


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.codes.pop(0) if self.server.codes else 200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def waits() -> list[float]:
    return []


def alerts(**settings: object) -> Alerts:
    return load_config(settings=[f"alerts.{key}={json.dumps(value)}" for key, value in settings.items()]).alerts


def writing(file: object) -> list[str]:
    return [sys.executable, "-c", f"import sys; open({str(file)!r}, 'w').write(sys.stdin.read())"]


def test_the_webhook_is_posted_the_summary(hook, waits):
    assert tell(alerts(webhook=hook.url), FAILED, waits.append) == []
    assert hook.told == [("application/json", FAILED)]
    assert waits == []


def test_the_url_may_be_in_the_environment(hook, waits, monkeypatch):
    monkeypatch.setenv("SHOP_HOOK", hook.url)
    assert tell(alerts(webhook_env="SHOP_HOOK"), FAILED, waits.append) == []
    assert len(hook.told) == 1
    monkeypatch.delenv("SHOP_HOOK")
    (warning,) = tell(alerts(webhook_env="SHOP_HOOK"), FAILED, waits.append)
    assert warning == "the alert was not sent: the environment variable SHOP_HOOK holds no http or https URL"


def test_a_server_that_fails_is_tried_again_a_few_times(hook, waits):
    hook.codes = [503, 500]
    assert tell(alerts(webhook=hook.url, retries=2), FAILED, waits.append) == []
    assert len(hook.told) == 3 and waits == [1.0, 2.0]
    hook.codes = [503, 503]
    (warning,) = tell(alerts(webhook=hook.url, retries=1), FAILED, waits.append)
    assert "answered 503" in warning and "secret" not in warning


def test_a_refusal_is_not_tried_again(hook, waits):
    hook.codes = [404]
    (warning,) = tell(alerts(webhook=hook.url), FAILED, waits.append)
    assert "answered 404" in warning and len(hook.told) == 1 and waits == []


def test_nobody_at_the_url_is_a_warning(hook, waits):
    url = hook.url
    hook.server_close()
    (warning,) = tell(alerts(webhook=url, retries=1), FAILED, waits.append)
    assert "was not reached" in warning and "secret" not in warning


def test_the_command_gets_the_summary_on_its_stdin(tmp_path):
    assert tell(alerts(command=writing(tmp_path / "told")), FAILED) == []
    assert json.loads((tmp_path / "told").read_text()) == FAILED


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('no route')"], "ended with exit code 1: no route"),
        ([sys.executable, "-c", "import time; time.sleep(30)"], "took more than alerts.seconds=0.5"),
        (["/no/such/program"], "cannot be started: No such file or directory"),
    ],
)
def test_a_command_that_fails_is_a_warning(command, said):
    (warning,) = tell(alerts(command=command, seconds=0.5), FAILED)
    assert said in warning


def test_only_what_is_asked_for_is_told(tmp_path):
    for status, told in (("done", False), ("gated", True)):
        tell(alerts(command=writing(tmp_path / status)), {**FAILED, "status": status})
        assert (tmp_path / status).exists() == told
    tell(alerts(command=writing(tmp_path / "all"), when=["done"]), {**FAILED, "status": "done"})
    assert (tmp_path / "all").exists()


def test_exit_codes_have_a_status():
    assert [status_of(code) for code in (0, 1, 2, 3)] == ["done", "failed", "failed", "gated"]


def test_two_webhooks_are_a_mistake():
    with pytest.raises(UserError, match="webhook and webhook_env are both set"):
        alerts(webhook="http://example.com", webhook_env="HOOK")


@pytest.mark.parametrize(("error", "code"), [(None, 0), (UserError("no events"), 2), (RuntimeError("disk full"), 1)])
def test_a_job_tells_how_it_ended_and_keeps_its_exit_code(error, code, monkeypatch, tmp_path, capsys):
    def run_all(*_):
        if error:
            raise error

    monkeypatch.setattr(cli, "_run_all", run_all)
    hooks = {"command": writing(tmp_path / "told"), "when": ["done", "failed"], "webhook": "file:///etc/hosts"}
    argv = [part for key, value in hooks.items() for part in ("--set", f"alerts.{key}={json.dumps(value)}")]
    assert main("train", description="test", argv=["--root", "main.shop", *argv]) == code
    told = json.loads((tmp_path / "told").read_text())
    assert (told["job"], told["exit_code"], told["root"], told["runs"]) == ("train", code, "main.shop", [])
    assert told["status"] == ("failed" if error else "done")
    assert str(error or "") in (told["error"] or "") or code == 1
    assert "alerts.webhook holds no http or https URL" in capsys.readouterr().err
