"""The service over a store that was loaded by hand."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from recsys_spark.config import load_config
from recsys_spark.serving.app import create_app
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from tests.serving.nights import load


@pytest.fixture
def keeper(tmp_path: Path) -> EmbeddedKeeper:
    return EmbeddedKeeper(str(tmp_path / "store"))


@pytest.fixture
def client(keeper):
    load(keeper, "first")
    load(keeper, "other", {}, variant="b")
    with TestClient(create_app(EmbeddedStore(keeper.location), load_config().serve, "default")) as client:
        yield client


def get(client, path, status=200, **query):
    answer = client.get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_users_list_has_titles_and_reasons_in_words(client):
    answer = get(client, "/v1/users/ann/recommendations", n=3)
    assert answer["items"] == [
        {"rank": 1, "item_id": "i1", "title": "Crème brûlée", "score": 0.5, "reason_code": "model",
         "reason": "predicted for this user", "reason_item_id": None},
        {"rank": 2, "item_id": "i0", "title": "Café Crème", "score": 0.25, "reason_code": "co_occurrence",
         "reason": "because you had Crème brûlée", "reason_item_id": "i1"},
        {"rank": 3, "item_id": "i2", "title": None, "score": 0.0, "reason_code": "repeat",
         "reason": "had before, and likely again", "reason_item_id": "i2"},
    ]  # fmt: skip
    told = {key: answer[key] for key in ("user_id", "fallback", "variant", "as_of_date", "model_version", "ignored")}
    assert told == {
        "user_id": "ann", "fallback": False, "variant": "default", "as_of_date": "2024-01-03",
        "model_version": "model of first", "ignored": [],
    }  # fmt: skip


def test_what_is_excluded_is_left_out_and_what_is_unknown_is_said(client):
    answer = get(client, "/v1/users/ann/recommendations", exclude=["i1", "no such"])
    assert [(item["rank"], item["item_id"]) for item in answer["items"]] == [(1, "i0"), (2, "i2")]
    assert answer["ignored"] == ["no such"]


def test_whom_nothing_is_published_for_gets_what_is_popular_and_is_told_so(client):
    answer = get(client, "/v1/users/a stranger/recommendations", exclude="i1", n=2)
    assert answer["fallback"]
    items = [(item["rank"], item["item_id"], item["score"], item["reason"]) for item in answer["items"]]
    assert items == [
        (1, "a/b?c", 1.0, "popular with everyone"),
        (2, "i0", pytest.approx(7 / 9), "popular with everyone"),
    ]


def test_ids_may_be_any_text(client):
    path = f"/v1/users/{quote('a/b ?%', safe='')}/recommendations"
    assert not get(client, path)["fallback"]
    assert get(client, f"/v1/items/{quote('a/b?c', safe='')}")["title"] == "Slash"


def test_another_variant_is_asked_for_by_name(client):
    assert get(client, "/v1/users/ann/recommendations", variant="b")["fallback"]
    answer = get(client, "/v1/users/ann/recommendations", 404, variant="c")
    assert answer["detail"] == "no such variant is published, but: b, default"


def test_several_users_at_once(client):
    asked = {"user_ids": ["bob", "a stranger", "ann"], "n": 1, "exclude": ["i1"]}
    lists = client.post("/v1/users/recommendations", json=asked).json()["lists"]
    assert [(one["user_id"], one["fallback"], one["items"][0]["item_id"]) for one in lists] == [
        ("bob", False, "i2"),
        ("a stranger", True, "a/b?c"),
        ("ann", False, "i0"),
    ]


def test_items_are_found_and_told(client):
    assert [item["item_id"] for item in get(client, "/v1/items", q="creme")["items"]] == ["i1", "i0"]
    assert get(client, "/v1/items/i0") == {
        "item_id": "i0", "title": "Café Crème", "category": "Drinks", "brand": None, "price": 2.5, "year": None, "users": 7,
    }  # fmt: skip
    assert "no such item" in get(client, "/v1/items/nothing", 404)["detail"]


@pytest.mark.parametrize("n", [0, -1, 101, "ten", 10**30])
def test_n_is_bounded(client, n):
    get(client, "/v1/users/ann/recommendations", 422, n=n)


def test_requests_are_bounded(client):
    assert client.post("/v1/users/recommendations", json={"user_ids": ["a"] * 101}).status_code == 422
    assert client.post("/v1/users/recommendations", json={"user_ids": []}).status_code == 422
    get(client, "/v1/users/ann/recommendations", 422, exclude=["a"] * 1001)
    get(client, "/v1/items", 422, q="")
    get(client, "/v1/items", 422, q="a" * 201)


def test_a_store_without_anything_says_so_and_serves_once_something_is_published(keeper):
    store = EmbeddedStore(keeper.location)
    with TestClient(create_app(store, load_config().serve, "default")) as client:
        answer = client.get("/v1/users/ann/recommendations")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        load(keeper, "first")
        store.refresh()
        assert client.get("/v1/users/ann/recommendations").status_code == 200
