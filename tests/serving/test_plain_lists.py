"""The short way to a list answers as the usual one does, and leaves to it whatever is not plain."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from recsys_spark.serving import plain_lists, routes
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from tests.serving.nights import load
from tests.serving.service import app_over

PLAIN = ["", "?n=1", "?n=3", "?n=007", "?n=100"]
NOT_PLAIN = {
    "?n=0": 422,
    "?n=101": 422,
    "?n=1000": 422,
    "?n=x": 422,
    "?n=": 422,
    "?n=-1": 422,
    "?n=1&n=2": 200,
    "?n=%31": 200,
    "?n=2&variant=none": 404,
    "?exclude=i1": 200,
    "?context=hour:1": 409,
}
USERS = ["ann", "bob", "nobody", "a%2Fb", "a/recommendations", "%00", "x" * 512, "x" * 513, "", "%F0%9F%98%80", "%0A"]


@pytest.fixture
def client(tmp_path):
    keeper = EmbeddedKeeper(str(tmp_path / "store"))
    load(keeper, "night")
    with TestClient(app_over(EmbeddedStore(keeper.location))) as client:
        yield client


def path_of(user, query=""):
    return f"/v1/users/{user}/recommendations{query}"


@pytest.mark.parametrize("user", USERS, ids=range(len(USERS)))
@pytest.mark.parametrize("query", PLAIN)
def test_both_ways_answer_alike(client, user, query):
    short = client.get(path_of(user, query))
    usual = client.get(path_of(user, f"{query or '?n=10'}&variant=default"))
    assert (short.status_code, short.content) == (usual.status_code, usual.content)
    names = {*short.headers} - {"x-request-id"}
    assert {name: short.headers[name] for name in names} == {name: usual.headers[name] for name in names}


@pytest.mark.parametrize("query", PLAIN)
def test_plain_requests_do_not_reach_the_router(client, query, monkeypatch):
    monkeypatch.setattr(routes, "lists_for", None)
    assert client.get(path_of("ann", query)).json()["user_id"] == "ann"


@pytest.mark.parametrize(("query", "status"), NOT_PLAIN.items())
def test_what_is_not_plain_goes_the_usual_way(client, query, status, monkeypatch):
    monkeypatch.setattr(plain_lists, "lists_for", None)
    assert client.get(path_of("ann", query)).status_code == status


def test_other_methods_are_refused_as_ever(client):
    assert client.post(path_of("ann")).status_code == 405
    assert client.get("/v1/users/recommendations").status_code == 405
