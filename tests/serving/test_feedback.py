"""Events that the service was told: on disk before it says so, whole, once, and closed files alone for others."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from fastapi.testclient import TestClient

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.serving import event_files
from recsys_spark.serving.client import Client, ServiceError
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.event_files import EventFiles
from recsys_spark.serving.feedback import Event, identified
from recsys_spark.serving.keys import add_key
from tests.serving.service import app_over, free_port, listening

CLICK = {"event_type": "click", "user_id": "ann", "item_id": "i0"}
AT = "2024-05-06T12:00:00.000001+02:00"
AT_MICROSECONDS = 1_714_989_600_000_001


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "told"


@pytest.fixture
def client(tmp_path, folder):
    app = app_over(EmbeddedStore(str(tmp_path / "store")), f"serve.events_dir={folder}")
    with TestClient(app) as client:
        yield client


def tell(client, *events, status=202):
    answer = client.post("/v1/events", json={"events": events})
    assert answer.status_code == status, answer.text
    return answer.json()


def closed(folder: Path) -> list[dict]:
    """The events of all closed files, in order."""
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def left_open(folder: Path) -> list[Path]:
    return sorted(folder.glob("_*.open"))


def figure(client, name: str) -> float:
    return next(float(line.split()[-1]) for line in client.get("/metrics").text.splitlines() if line.startswith(name))


def figures(url: str) -> str:
    with urlopen(f"{url}/metrics") as answer:
        return answer.read().decode()


def test_what_was_told_is_on_disk_line_by_line_and_handed_over_at_the_end(tmp_path, folder):
    app = app_over(EmbeddedStore(str(tmp_path / "store")), f"serve.events_dir={folder}")
    told = {**CLICK, "user_id": "ann\u2028\n☃", "event_time": AT, "event_value": 2.5, "position": 3, "variant": "b"}
    with TestClient(app) as client:
        answer = tell(client, told, CLICK)
        (file,) = left_open(folder)
        first, second = map(json.loads, file.read_bytes().splitlines())
        assert closed(folder) == [] and answer == {"count": 2, "event_ids": [first["event_id"], second["event_id"]]}
        assert figure(client, 'recsys_events_total{event_type="click"}') == 2
    assert first == {
        "event_id": answer["event_ids"][0], "event_type": "click", "user_id": "ann\u2028\n☃", "item_id": "i0",
        "event_time": AT_MICROSECONDS, "event_value": 2.5, "position": 3, "variant": "b", "experiment": None,
    }  # fmt: skip
    assert abs(second["event_time"] / 1e6 - datetime.now(UTC).timestamp()) < 60.0
    assert left_open(folder) == [] and closed(folder) == [first, second]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({**CLICK, "colour": "red"}, "Extra inputs are not permitted"),
        ({**CLICK, "event_type": "wish"}, "none of serve.event_types: impression, click, purchase"),
        ({**CLICK, "event_time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "in the future"),
        ({**CLICK, "event_time": "1969-12-31T23:59:59Z"}, "before 1970"),
        ({**CLICK, "event_time": "2024-05-06T12:00:00"}, "timezone"),
        ({**CLICK, "event_time": 1714982400}, "expected a time as text"),
        ({**CLICK, "user_id": " \t"}, "pattern"),
        ({**CLICK, "user_id": "a" * 513}, "at most 512"),
        ({**CLICK, "item_id": "a\x00"}, "pattern"),
        ({**CLICK, "position": 0}, "greater than or equal to 1"),
        ({**CLICK, "event_value": "much"}, "valid number"),
        ({**CLICK, "key": "once"}, "needs an event_time"),
    ],
)
def test_what_is_wrong_is_refused_with_all_that_came_beside_it(client, folder, event, why):
    assert why in json.dumps(tell(client, CLICK, event, status=422))
    assert left_open(folder) == closed(folder) == []


@pytest.mark.parametrize(
    "odd",
    [
        '"user_id":"\\ud800"', '"\\ud800":1', '"event_value":1e999', '"event_value":NaN', '"position":1e30',
        '"event_time":"99999-01-01T00:00:00Z"', '"event_time":"0001-01-01T00:00:00+14:00"',
        '"event_time":"9999-12-31T23:59:59-14:00"', '"user_id":["ann"]', '"event_type":"\\u0000"',
    ],
)  # fmt: skip
def test_what_is_odd_is_refused_and_does_not_fail(client, folder, odd):
    body = f'{{"events":[{{"event_type":"click","user_id":"ann","item_id":"i0",{odd}}}]}}'
    answer = client.post("/v1/events", content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["detail"]
    assert left_open(folder) == closed(folder) == []


def test_a_request_is_bounded_and_without_a_folder_nothing_is_taken(client, tmp_path):
    tell(client, status=422)
    tell(client, *[CLICK] * 1001, status=422)
    with TestClient(app_over(EmbeddedStore(str(tmp_path / "store")))) as deaf:
        assert "serve.events_dir is not set" in tell(deaf, CLICK, status=404)["detail"]


def test_a_folder_that_cannot_be_is_a_mistake_in_the_configuration(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be made"):
        EventFiles(str(tmp_path / "file" / "below"), 1, 1.0)


def test_ids_of_keys_are_the_tellers_own():
    once = Event.model_validate({**CLICK, "event_time": AT, "key": "k"})
    other = Event.model_validate({**CLICK, "event_time": AT, "key": "l"})
    assert identified([once, other], "shop") == identified([once, other], "shop")
    assert len({*identified([once, other], "shop"), *identified([once, other], "app")}) == 4
    unnamed = Event.model_validate(CLICK)
    assert len(set(identified([unnamed, unnamed], "shop"))) == 2


def test_the_client_names_its_events_and_keys_ask_for_them(tmp_path, folder, capfd):
    key = add_key(str(tmp_path / "keys"), "shop")
    settings = (f"serve.events_dir={folder}", f"serve.keys_file={tmp_path / 'keys'}")
    with listening(EmbeddedStore(str(tmp_path / "store")), *settings) as url:
        with Client(url, key) as client:
            kept = client.tell([Event(event_type="click", user_id="who asks", item_id="i0"), Event(**CLICK)])
        with Client(url) as stranger, pytest.raises(ServiceError, match="401"):
            stranger.tell([Event(**CLICK)])
    assert kept.count == 2 and [one["event_id"] for one in closed(folder)] == kept.event_ids
    said = capfd.readouterr()
    assert "/v1/events 202" in said.out and "who asks" not in said.out + said.err


def test_requests_at_once_share_a_write(tmp_path, folder, monkeypatch):
    syncs, gate, real = [], threading.Event(), os.fsync

    def slow(descriptor):
        syncs.append(descriptor)
        gate.wait(10.0)
        real(descriptor)

    with listening(EmbeddedStore(str(tmp_path / "store")), f"serve.events_dir={folder}") as url:
        monkeypatch.setattr(event_files.os, "fsync", slow)

        def one(number):
            with Client(url, retries=0, seconds=20.0) as client:
                return client.tell([Event(event_type="click", user_id=f"u{number}", item_id="i0")]).count

        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(one, number) for number in range(20)]
            until = time.monotonic() + 10.0
            while "recsys_requests_at_work 20.0" not in figures(url) and time.monotonic() < until:
                time.sleep(0.02)
            gate.set()
            assert sum(one.result() for one in asked) == 20
        at_work = len(syncs)
        monkeypatch.setattr(event_files.os, "fsync", real)
    assert at_work <= 3  # of the folder, of who came first, and of all that came meanwhile
    assert sorted(one["user_id"] for one in closed(folder)) == sorted(f"u{number}" for number in range(20))


def test_files_are_closed_by_size_and_by_age(folder):
    now = 0.0
    files = EventFiles(str(folder), 10, 60.0, clock=lambda: now)
    files.append(b"{}\n")
    files.close_if_due()
    assert len(left_open(folder)) == 1
    now = 60.0
    files.close_if_due()
    assert left_open(folder) == [] and len(list(folder.glob("*.jsonl"))) == 1
    files.append(b'{"a":1}\n{"a":2}\n')
    files.close_if_due()
    assert left_open(folder) == [] and len(list(folder.glob("*.jsonl"))) == 2
    files.close()
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("broken", ["write", "fsync"])
def test_a_disk_that_fails_takes_back_what_it_took(client, folder, monkeypatch, broken):
    tell(client, CLICK)
    real = os.write

    def full(*arguments):
        if broken == "write":
            real(arguments[0], bytes(arguments[1][:20]))
        raise OSError(errno.ENOSPC if broken == "write" else errno.EIO, "no")

    with monkeypatch.context() as patched:
        if broken == "write":
            calls = iter([lambda *a: real(a[0], bytes(a[1][:20])), full])
            patched.setattr(event_files.os, "write", lambda *a: next(calls)(*a))
        else:
            calls = iter([full])
            sync = os.fsync
            patched.setattr(event_files.os, "fsync", lambda *a: next(calls, sync)(*a))
        answer = client.post("/v1/events", json={"events": [{**CLICK, "user_id": "lost"}]})
    expected = (507, "60") if broken == "write" else (503, "1")
    assert (answer.status_code, answer.headers["Retry-After"]) == expected and "not kept" in answer.json()["detail"]
    assert figure(client, "recsys_event_failures_total") == 1
    tell(client, {**CLICK, "user_id": "after"})
    client.app.state.service.journal.close()
    assert sorted(one["user_id"] for one in closed(folder)) == ["after", "ann"]


def test_a_file_that_a_killed_process_left_is_closed_without_its_torn_end(folder):
    folder.mkdir()
    (folder / "_dead.open").write_bytes(b'{"user_id":"a"}\n{"user_id":"b"}\n{"user')
    (folder / "_empty.open").write_bytes(b"")
    (folder / "_torn.open").write_bytes(b'{"us')
    living = EventFiles(str(folder), 1000, 60.0)
    living.append(b'{"user_id":"c"}\n')
    (own,) = [path for path in left_open(folder) if path.name not in ("_dead.open", "_empty.open", "_torn.open")]
    other = EventFiles(str(folder), 1000, 60.0)
    assert other.adopt() == 2 and left_open(folder) == [own]
    assert (folder / "dead.jsonl").read_bytes() == b'{"user_id":"a"}\n{"user_id":"b"}\n'
    assert [one["user_id"] for one in closed(folder)] == ["a", "b"] and other.adopt() == 0


def test_a_service_that_starts_closes_what_another_left(client, folder):
    (folder / "_dead.open").write_bytes(b'{"user_id":"a"}\n{"user')
    until = time.monotonic() + 10.0
    while left_open(folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert [one["user_id"] for one in closed(folder)] == ["a"] and figure(client, "recsys_event_torn_total") == 1


SMALL_DISK = """
import errno, os, sys
from pathlib import Path
from recsys_spark.serving.event_files import EventFiles
folder, line = sys.argv[1], b'{"user_id":"' + b"a" * 500 + b'"}\\n'
files, kept, failed = EventFiles(folder, 1 << 30, 600.0), 0, set()
for _ in range(2000):
    try:
        files.append(line * 7)
        kept += 7
    except OSError as error:
        failed.add(error.errno)
files.close()
found = b"".join(path.read_bytes() for path in Path(folder).glob("*.jsonl"))
assert failed == {errno.ENOSPC}, failed
assert found == line * kept, (len(found), kept)
assert not list(Path(folder).glob("_*"))
print(kept)
"""


def test_a_disk_that_is_really_full_holds_what_was_promised_and_no_more(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f'mount -t tmpfs -o size=1m tmpfs {disk} && exec {sys.executable} -c "$0" {disk}/told'
    rights = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    try:
        subprocess.run(
            ["unshare", *rights, "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no mount namespaces here: {error}")
    command = ["unshare", *rights, "--mount", "bash", "-c", mounted, SMALL_DISK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert 1000 < int(done.stdout) < 2100  # lines of half a kilobyte on a mebibyte


def test_a_killed_service_has_lost_nothing_that_it_acknowledged(tmp_path, folder):
    port = free_port()
    command = [sys.executable, "-m", "recsys_spark.serving.main", "--root", str(tmp_path), "--port", str(port)]
    command += ["--set", f"serve.events_dir={folder}", "--set", "serve.events_file_bytes=20000"]
    kept: list[str] = []
    service = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        with Client(url, retries=40, seconds=2.0) as first:
            first.tell([Event(**CLICK)])

        def ask(number):
            with Client(url, retries=0, seconds=5.0) as client:
                try:
                    for n in range(100_000):
                        event = Event(event_type="click", user_id=f"{number}-{n}", item_id="i0")
                        kept.extend(client.tell([event] * 3).event_ids)
                except ServiceError as error:
                    return error.status

        threading.Timer(1.5, service.kill).start()
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(8))) == [0] * 8  # the connection was lost
    finally:
        service.kill()
        service.wait(10.0)
    assert len(kept) > 100
    assert EventFiles(str(folder), 1, 1.0).adopt() <= 1 and left_open(folder) == []
    found = [one["event_id"] for one in closed(folder)]
    assert set(kept) <= set(found) and len(found) == len(set(found))
    assert load_config().serve.events_dir == ""
