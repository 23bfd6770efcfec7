"""What is told of the live nights, and the files of the page, over a store that was loaded by hand."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from recsys_spark.config import load_config
from recsys_spark.serving.app import create_app
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from recsys_spark.serving.keys import add_key
from recsys_spark.serving.page import files
from tests.serving import shop


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    keeper = EmbeddedKeeper(str(tmp_path_factory.mktemp("nights") / "store"))
    shop.fill(keeper)
    return EmbeddedStore(keeper.location)


@pytest.fixture
def client(store):
    with TestClient(create_app(store, load_config().serve, "default")) as client:
        yield client


def test_every_live_night_is_told_with_its_health_where_it_has_one(client):
    answer = client.get("/v1/night").json()
    assert answer["variant"] == "default" and [night["variant"] for night in answer["nights"]] == ["b", "default"]
    other, usual = answer["nights"]
    assert other["health"] is None
    assert {key: usual[key] for key in ("name", "as_of_date", "model_version", "users")} == {
        "name": "of-default", "as_of_date": "2024-03-01", "model_version": "model of of-default", "users": 6,
    }  # fmt: skip
    assert [tuple(gate.values()) for gate in usual["health"]["gates"]] == shop.GATES
    assert len(usual["health"]["measured"]) == 18 and usual["health"]["measured"][0]["metric"] == "ndcg"


def test_users_are_found_by_how_their_ids_begin(client):
    def users(**query):
        return client.get("/v1/users", params=query).json()["user_ids"]

    assert users() == ["1", "10", "11", "12", "2", "33"]
    assert users(q="1", n=3) == ["1", "10", "11"]
    assert users(q="3", variant="b") == ["33"] and users(q="9") == users(q="%") == users(q="_") == []
    assert client.get("/v1/users", params={"variant": "c"}).status_code == 404
    assert client.get("/v1/users", params={"q": "a" * 513}).status_code == 422


def test_the_map_is_answered_as_it_was_written_down(client):
    answer = client.get("/v1/map").json()
    assert answer["explained"] == [0.31, 0.22] and len(answer["items"]) == len(shop.ITEMS)
    assert answer["items"][0] == {
        "item_id": "p0", "title": "Bananas", "category": "FRUIT|FOOD", "users": 100, "x": -0.925, "y": 0.8,
    }  # fmt: skip
    refused = client.get("/v1/map", params={"variant": "b"})
    assert refused.status_code == 404 and "this night has no map" in refused.json()["detail"]


def test_the_page_is_kept_by_a_browser_until_it_changes(client):
    first = client.get("/")
    assert first.status_code == 200 and first.headers["Content-Type"] == "text/html; charset=utf-8"
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/", headers={"If-None-Match": '"another"'}).status_code == 200
    assert client.get("/web/main.js").headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_the_page_has_a_policy_of_its_own_and_the_rest_the_strictest(client):
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    rest = client.get("/v1/night").headers
    assert rest["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert rest["Cache-Control"] == "no-store"
    assert client.get("/").headers["X-Content-Type-Options"] == rest["X-Content-Type-Options"] == "nosniff"


def test_nothing_but_the_pages_own_files_is_given_out(client):
    for name in ("main.py", "../page.py", "..%2fpage.py", "%2e%2e/page.py", ""):
        assert client.get(f"/web/{name}").status_code == 404, name


def test_every_file_that_the_page_names_is_there_and_none_beside(client):
    told = b" ".join(file.content for file in files().values()).decode()
    for name in files():
        assert name == "index.html" or f"web/{name}" in told or f"./{name}" in told, name
        assert client.get(f"/web/{name}").status_code == 200
    assert "http://" not in told.replace("http://www.w3.org/2000/svg", "") and "https://" not in told


def test_the_page_needs_no_key_and_what_it_asks_does(store, tmp_path):
    key = add_key(str(tmp_path / "keys"), "page")
    settings = load_config(settings=[f"serve.keys_file={tmp_path / 'keys'}"]).serve
    with TestClient(create_app(store, settings, "default")) as client:
        assert client.get("/").status_code == client.get("/web/main.js").status_code == 200
        for path in ("/v1/night", "/v1/users", "/v1/map"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 200
