"""What those ask of a service who run it: health, figures, logs, keys, limits."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from recsys_spark import log
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from recsys_spark.serving.keys import add_key
from recsys_spark.serving.store import StoreUnavailableError
from tests.serving.nights import load
from tests.serving.service import app_over

LIST = "/v1/users/ann/recommendations"


class Waiting:
    """A store whose look-ups wait for a gate."""

    def __init__(self, store, gate):
        self._store, self._gate = store, gate
        self.waiting = 0
        store.refresh()

    def live(self):
        return {variant: self._night(night) for variant, night in self._store.live().items()}

    def _night(self, night):
        outer = self

        class Slow:
            about, quick = night.about, False

            def __getattr__(self, name):
                return getattr(night, name)

            def lists(self, user_ids):
                outer.waiting += 1
                outer._gate.wait(10.0)
                return night.lists(user_ids)

        return Slow()

    def refresh(self):
        return False

    def close(self):
        pass


class Broken(Waiting):
    """A store that fails."""

    def __init__(self, store, error):
        super().__init__(store, None)
        self.error = error

    def _night(self, night):
        outer = self

        class Failing:
            about, quick = night.about, True

            def lists(self, user_ids):
                raise outer.error

        return Failing()


@pytest.fixture
def store(tmp_path):
    load(EmbeddedKeeper(str(tmp_path / "store")), "first")
    return EmbeddedStore(str(tmp_path / "store"))


def figures(client):
    lines = [line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_health_and_readiness(store, tmp_path):
    with TestClient(app_over(EmbeddedStore(str(tmp_path / "nothing")))) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        assert client.get("/readyz").status_code == 503
    with TestClient(app_over(store)) as client:
        assert client.get("/readyz").json() == {"live": {"default": "first"}}
        client.app.state.service.leaving = True
        assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)
        assert client.get(LIST).status_code == 200


def test_figures_count_by_route_and_name_nobody(store):
    with TestClient(app_over(store)) as client:
        for path in (
            LIST,
            "/v1/users/bob/recommendations",
            "/v1/users/secret-stranger/recommendations",
            "/nowhere/secret",
        ):
            client.get(path)
        client.get(LIST, params={"n": 0})
        found = figures(client)
        text = client.get("/metrics").text
    route = 'route="/v1/users/{user_id:path}/recommendations"'
    assert found[f'recsys_requests_total{{method="GET",{route},status="200"}}'] == 3
    assert found[f'recsys_requests_total{{method="GET",{route},status="422"}}'] == 1
    assert found['recsys_requests_total{method="",route="(none)",status="404"}'] == 1
    assert found[f"recsys_request_seconds_count{{{route}}}"] == 4
    assert (found['recsys_lists_total{fallback="false"}'], found['recsys_lists_total{fallback="true"}']) == (2, 1)
    assert found['recsys_live_lists{variant="default"}'] == 3
    assert found['recsys_live_as_of_seconds{variant="default"}'] == 1704240000  # 2024-01-03
    assert "secret" not in text and "ann" not in text


def test_each_request_leaves_a_line_with_its_id_and_without_its_user(store, capsys, monkeypatch):
    monkeypatch.setenv(log.VARIABLE, "json")
    with TestClient(app_over(store)) as client:
        capsys.readouterr()
        given = client.get("/v1/users/ann/recommendations?exclude=i1", headers={"X-Request-ID": "from-shop.1"})
        odd = client.get(LIST, headers={"X-Request-ID": "a b\x7f" * 50})
        said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert given.headers["X-Request-ID"] == "from-shop.1" != odd.headers["X-Request-ID"]
    assert [line["request_id"] for line in said] == ["from-shop.1", odd.headers["X-Request-ID"]]
    assert said[0]["route"] == "/v1/users/{user_id:path}/recommendations" and said[0]["status"] == 200
    assert all("ann" not in json.dumps(line) and "i1" not in line["message"] for line in said)


def test_answers_have_the_headers_of_a_careful_server(store):
    with TestClient(app_over(store)) as client:
        for answer in (client.get(LIST), client.get("/nowhere"), client.get(LIST, params={"n": "x"})):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        asked = {"Origin": "https://shop.example"}
        assert "access-control-allow-origin" not in client.get(LIST, headers=asked).headers
    with TestClient(app_over(store, "serve.origins=['https://shop.example']")) as client:
        assert client.get(LIST, headers=asked).headers["access-control-allow-origin"] == "https://shop.example"
        other = client.get(LIST, headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_a_key_is_asked_for_and_paced(store, tmp_path):
    file = tmp_path / "keys"
    key = add_key(str(file), "shop")
    settings = (f"serve.keys_file={file}", "serve.burst=2", "serve.requests_per_second=0.25")
    with TestClient(app_over(store, *settings)) as client:
        assert [client.get(path).status_code for path in (LIST, "/v1/items?q=a")] == [401, 401]
        for wrong in ("Bearer guess", f"Basic {key}", f"Bearer {key}x", "Bearer é".encode()):
            answer = client.get(LIST, headers={"Authorization": wrong})
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        mine = {"Authorization": f"Bearer {key}"}
        answers = [client.get(LIST, headers=mine) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers["Retry-After"]) <= 4
        assert [client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
        file.write_text("")  # revoked
        client.app.state.service.keys.refresh()
        assert client.get(LIST, headers=mine).status_code == 401


def test_too_many_at_once_are_refused_at_once_and_health_is_not(store):
    gate = threading.Event()
    slow = Waiting(store, gate)
    with TestClient(app_over(slow, "serve.most_at_once=2")) as client, ThreadPoolExecutor(4) as pool:
        first = [pool.submit(client.get, LIST) for _ in range(2)]
        until = time.monotonic() + 10.0
        while slow.waiting < 2 and time.monotonic() < until:
            time.sleep(0.01)
        refused = client.get(LIST)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert client.get("/healthz").status_code == 200
        assert figures(client)['recsys_refused_total{why="busy"}'] == 1
        gate.set()
        assert [answer.result().status_code for answer in first] == [200, 200]
        assert client.get(LIST).status_code == 200
        assert figures(client)["recsys_requests_at_work"] == 0


def test_what_takes_too_long_is_given_up(store):
    gate = threading.Event()
    with TestClient(app_over(Waiting(store, gate), "serve.seconds=0.2")) as client:
        started = time.monotonic()
        answer = client.get(LIST)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "not done within 0.2 s" in answer.json()["detail"]
        assert time.monotonic() - started < 5.0
        gate.set()


def test_bodies_are_bounded_whether_their_length_is_told_or_not(store):
    with TestClient(app_over(store, "serve.most_bytes=1000")) as client:
        large = json.dumps({"user_ids": ["a" * 400] * 4}).encode()
        told = client.post("/v1/users/recommendations", content=large)
        untold = client.post("/v1/users/recommendations", content=iter([large[:600], large[600:]]))
        absurd = client.post("/v1/users/recommendations", content=b"{}", headers={"Content-Length": "9" * 5000})
        assert [told.status_code, untold.status_code, absurd.status_code] == [413, 413, 413]
        assert "larger than 1,000 bytes" in untold.json()["detail"]


def test_a_store_that_does_not_answer_is_said_and_other_errors_say_nothing(store, capsys):
    with TestClient(app_over(Broken(store, StoreUnavailableError("restarting")))) as client:
        answer = client.get(LIST)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    with TestClient(app_over(Broken(store, RuntimeError("ann is secret")))) as client:
        answer = client.get(LIST, headers={"X-Request-ID": "r1"})
        assert (answer.status_code, answer.json()) == (500, {"detail": "failed; request r1"})
    said = capsys.readouterr()
    assert "RuntimeError" in said.err and "secret" not in said.out + said.err


def test_the_description_has_examples_that_are_answers(store):
    from recsys_spark.serving import answers, feedback, live_answers

    with TestClient(app_over(store)) as client:
        described = client.get("/openapi.json").json()
        assert client.get("/docs").status_code == 404  # its page would come from another host
    examples = {name: part["example"] for name, part in described["components"]["schemas"].items() if "example" in part}
    assert examples.keys() >= {
        "Recommendations",
        "Product",
        "ListsAsked",
        "LiveAsked",
        "LiveList",
        "PairsAsked",
        "Pairs",
    }
    for name, example in examples.items():
        (vars(answers) | vars(feedback) | vars(live_answers))[name].model_validate(example)
    for path in (
        "/v1/users/{user_id}/recommendations",
        "/v1/users/recommendations",
        "/v1/items",
        "/v1/items/{item_id}",
        "/v1/events",
    ):
        (operation,) = described["paths"][path].values()
        assert {"401", "429", "503"} <= operation["responses"].keys()
        assert {"200", "202"} & operation["responses"].keys()
