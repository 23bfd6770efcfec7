"""A real server on loopback: the client, nights that change under load, stopping, and whatever people may send."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.serving.client import Client, ServiceError
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from recsys_spark.serving.keys import add_key
from recsys_spark.serving.live_answers import WhomToAnswer
from recsys_spark.serving.store import Entry
from tests.serving.live_models import HISTORIES, save_live
from tests.serving.nights import load
from tests.serving.service import free_port, listening


@pytest.fixture(scope="module")
def keeper(tmp_path_factory) -> EmbeddedKeeper:
    keeper = EmbeddedKeeper(str(tmp_path_factory.mktemp("live") / "store"))
    load(keeper, "first", histories=HISTORIES, model=partial(save_live, in_context=True))
    return keeper


@pytest.fixture(scope="module")
def url(keeper, tmp_path_factory):
    with listening(EmbeddedStore(keeper.location), f"serve.events_dir={tmp_path_factory.mktemp('told')}") as url:
        yield url


def test_the_client_asks_all_that_there_is_to_ask(url):
    with Client(url) as client:
        answer = client.recommendations("ann", n=2, exclude=["i1", "?"])
        assert [(one.rank, one.item_id) for one in answer.items] == [(1, "i0"), (2, "i2")] and answer.ignored == ["?"]
        assert client.recommendations("a/b ?%").fallback is False
        assert [one.user_id for one in client.recommendations_of(["bob", "ann"], n=1)] == ["bob", "ann"]
        assert [one.item_id for one in client.search("creme", n=1)] == ["i1"]
        assert client.item("a/b?c").title == "Slash" and client.item("nothing") is None
        late = client.recommend(["i0"], n=1, context={"hour": 18})
        assert late.items[0].item_id != client.recommend(["i0"], "nobody", n=1).items[0].item_id == "i0"
        both = client.recommend_to([WhomToAnswer(items=["i0"]), WhomToAnswer(user_id="ann")], n=2, exclude=["i1"])
        assert [len(one.items) for one in both] == [2, 2] and both[1].user_id == "ann"
        assert [one.item_id for one in client.score(["i1", "i0"], user_id="ann").scores] == ["i1", "i0"]
        assert [one.item_id for one in client.history("ann").items] == ["i0", "i1"]
        assert {one.item_id for one in client.similar("i0", n=2).items} == {"i1", "a/b?c"}
        assert client.recommendations("ann", n=1, context={"hour": 18, "recency_days": 3}).items[0].item_id == "i1"
        with pytest.raises(ServiceError, match=r"422.*it knows hour, recency_days"):
            client.recommend(["i0"], context={"mood": "good"})
        with pytest.raises(ServiceError, match="404: no such variant") as refused:
            client.recommendations("ann", variant="none")
        assert refused.value.status == 404


def test_the_client_waits_as_it_is_told_and_gives_up_in_the_end(keeper, tmp_path):
    key = add_key(str(tmp_path / "keys"), "shop")
    paced = (f"serve.keys_file={tmp_path / 'keys'}", "serve.burst=1", "serve.requests_per_second=2.0")
    with listening(EmbeddedStore(keeper.location), *paced) as url:
        with Client(url, key, retries=1) as client:
            started = time.monotonic()
            assert [client.item("i0").item_id for _ in range(2)] == ["i0", "i0"]
            assert time.monotonic() - started >= 0.4  # of the half second until there is a token
        with Client(url, key, retries=0) as hasty, pytest.raises(ServiceError) as refused:
            for _ in range(3):
                hasty.item("i0")
        assert refused.value.status == 429
        with Client(url, "guess") as stranger, pytest.raises(ServiceError, match="401: a key is needed"):
            stranger.item("i0")
    with Client(url, retries=1) as client, pytest.raises(ServiceError, match="0: not reached"):
        client.item("i0")


def test_nights_change_under_load_without_a_failed_request_or_a_mixed_list(tmp_path):
    keeper = EmbeddedKeeper(str(tmp_path / "store"))
    users = [f"u{number}" for number in range(40)]

    def night(number):
        lists = {user: [Entry(f"i{place}", number + place / 8, "model", None) for place in range(3)] for user in users}
        load(keeper, f"night-{number}", lists, model=partial(save_live, version=f"live-{number}"))

    night(0)
    wrong, seen, stop = [], [set() for _ in range(4)], threading.Event()
    with listening(EmbeddedStore(keeper.location), "serve.look_seconds=0.02") as url:

        def ask(place):
            with Client(url, retries=0, seconds=20.0) as client:
                while not stop.is_set():
                    try:
                        for answer in client.recommendations_of(users[place::4], n=3):
                            number = int(answer.model_version.removeprefix("model of night-"))
                            seen[place].add(number)
                            if [one.score for one in answer.items] != [number, number + 0.125, number + 0.25]:
                                wrong.append(answer)
                        live = client.recommend(["i0"], n=1)
                        if live.fallback or int(live.model_version.removeprefix("live-")) < number:
                            wrong.append(live)
                    except ServiceError as error:
                        wrong.append(error)

        threads = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        for number in range(1, 9):
            time.sleep(0.15)
            night(number)
        until = time.monotonic() + 10.0
        while not all(8 in one for one in seen) and time.monotonic() < until:
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert all(8 in one and len(one) >= 3 for one in seen)


def test_told_to_stop_it_ends_what_it_has_begun_and_leaves_with_0(keeper):
    port = free_port()
    root = keeper.location.removesuffix("/store")
    command = [sys.executable, "-m", "recsys_spark.serving.main", "--root", root, "--port", str(port), "--log", "json"]
    command += ["--set", f"storage.artifacts={root}", "--set", "serve.drain_seconds=0.5"]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with Client(f"http://127.0.0.1:{port}", retries=40, seconds=1.0) as client:
            assert client.recommendations("bob").items[0].item_id == "i2"
            service.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            assert client.recommendations("bob").items[0].item_id == "i2"  # while a balancer looks elsewhere
        said, errors = service.communicate(timeout=20)
    finally:
        service.kill()
    assert service.returncode == 0, errors
    lines = [json.loads(line) for line in said.splitlines()]
    assert lines[-1]["message"] == "stopped"
    assert sum(line.get("status") == 200 for line in lines) == 2 and errors == ""


ODD = [
    "'; DROP TABLE lists; --", "1 OR 1=1", "../../../../etc/passwd", "..%2f..%2f", "%00", "%ff%fe", "%ed%a0%80", "%", "%zz",
    "\u202e\U0001f600", "a" * 600, "a" * 60_000, "/" * 50, "null", "{user_id}", "?n=1", "#", "\\", "${jndi:ldap://x}", "\t", " ",
]  # fmt: skip


def status_of(url: str, method: str, target: str, body: bytes | None = None) -> int:
    """Sent as it is, without a client's escaping."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=20)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", "x")
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_odd_ids_are_answered_or_refused_and_never_fail(url, odd):
    escaped = quote(odd, safe="%")
    answers = [
        status_of(url, "GET", f"/v1/users/{escaped}/recommendations"),
        status_of(url, "GET", f"/v1/users/ann/recommendations?exclude={escaped}"),
        status_of(url, "GET", f"/v1/users/ann/recommendations?variant={escaped}"),
        status_of(url, "GET", f"/v1/items/{escaped}"),
        status_of(url, "GET", f"/v1/items?q={escaped}"),
        status_of(url, "GET", f"/v1/users/{escaped}/history"),
        status_of(url, "GET", f"/v1/items/{escaped}/similar"),
        status_of(url, "GET", f"/v1/users/ann/recommendations?context=hour:{escaped}"),
    ]
    assert all(answer == 200 or 400 <= answer < 500 for answer in answers), answers


def test_ids_that_are_too_long_or_hold_nothing_are_refused(url):
    assert status_of(url, "GET", f"/v1/users/{'a' * 513}/recommendations") == 422
    assert status_of(url, "GET", "/v1/items/%00") == 422
    assert status_of(url, "GET", f"/v1/users/{'a' * 512}/recommendations") == 200
    assert 400 <= status_of(url, "GET", "/v1/items/" + "a" * 1_000_000) < 500
    assert status_of(url, "POST", "/v1/users/recommendations", b"x" * 2_000_000) == 413


@given(
    st.one_of(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
        st.fixed_dictionaries(
            {name: st.lists(st.text(st.characters(), max_size=20), max_size=4) for name in ("user_ids", "items")},
            optional={"candidates": st.lists(st.text(), min_size=1), "user_id": st.text()}
            | {"n": st.integers(), "exclude": st.lists(st.text(st.characters())), "variant": st.text()},
        ),
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_body_comes_it_is_answered_or_refused(url, body):
    for path in ("users/recommendations", "recommend", "recommend/batch", "score"):
        answer = status_of(url, "POST", f"/v1/{path}", json.dumps(body).encode())
        assert answer == 200 or 400 <= answer < 500


HERE = Path(__file__).parent.parent.parent
CURL = [
    pytest.param(line, id=f"{page}: {line[:50]}")
    for page in ("README.md", "docs/serving.md")
    for line in re.findall(r"^curl .*$", (HERE / page).read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("line", CURL)
def test_each_curl_of_the_pages_is_answered(url, line):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = [word.replace("http://127.0.0.1:8000", url).replace("$KEY", "key") for word in shlex.split(line)]
    done = subprocess.run([*command, "--silent", "--fail"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert {"items", "count"} & json.loads(done.stdout).keys()


def test_the_pages_have_commands_to_try():
    assert len(CURL) >= 4
