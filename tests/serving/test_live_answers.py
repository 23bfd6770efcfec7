"""Answers made on the spot, by a model whose scores can be told by hand."""

from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pytest
from fastapi.testclient import TestClient

from recsys_spark.serving.history import history_of
from recsys_spark.serving.live_context import LiveContext
from tests.serving.conftest import reader_of
from tests.serving.live_models import HISTORIES, HOUR, RECENCY, save_live
from tests.serving.nights import load
from tests.serving.service import app_over

FIRST, SECOND = math.cos(2 * math.pi / 5), math.cos(4 * math.pi / 5)  # of neighbours on the circle, and theirs


@pytest.fixture
def client_of(keeper):
    """`client_of(exclude_seen=True)`: a client of a service with such a live model."""
    opened = []

    def over(**model):
        load(keeper, ("first", "second")[len(opened)], histories=HISTORIES, model=partial(save_live, **model))
        opened.append(TestClient(app_over(reader_of(keeper))))
        return opened[-1].__enter__()

    yield over
    for one in opened:
        one.__exit__(None, None, None)


def post(client, path, body, status=200):
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def get(client, path, status=200, **query):
    answer = client.get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def shown(answer):
    return [(item["rank"], item["item_id"], round(item["score"], 5)) for item in answer["items"]]


def test_a_made_up_session_is_answered_by_the_model(client_of):
    client = client_of()
    answer = post(client, "/v1/recommend", {"items": ["i1", "no such"], "n": 3, "exclude": ["i2", "nor this"]})
    assert shown(answer) == [(1, "i1", 1.0), (2, "i0", round(FIRST, 5)), (3, "i3", round(SECOND, 5))]
    assert answer["ignored"] == ["no such", "nor this"] and not answer["fallback"] and answer["user_id"] is None
    assert [item["reason_code"] for item in answer["items"]] == ["repeat", "model", "model"]
    assert answer["items"][0]["reason_item_id"] == "i1" and answer["items"][0]["title"] == "Crème brûlée"
    told = (answer["model_version"], answer["variant"], answer["as_of_date"])
    assert told == ("softmax_dnn-of-tests", "default", "2024-01-03")


def test_a_known_users_history_comes_first_and_their_own_filters_hold(client_of):
    client = client_of()
    # ann: of i1, i0, and now i0: twice i0, once i1; i2 is blocked, a rule bars i3
    answer = post(client, "/v1/recommend", {"user_id": "ann", "items": ["i0"]})
    scores = {0: (2 + FIRST) / 3, 1: (1 + 2 * FIRST) / 3, 4: (2 * FIRST + SECOND) / 3}
    assert shown(answer) == [
        (1, "i0", round(scores[0], 5)), (2, "i1", round(scores[1], 5)), (3, "a/b?c", round(scores[4], 5))
    ]  # fmt: skip
    assert [item["reason_code"] for item in answer["items"]] == ["repeat"] * 3  # i4 was had long ago
    assert shown(post(client, "/v1/recommend", {"user_id": "nobody", "items": ["i0"], "n": 1})) == [(1, "i0", 1.0)]


def test_what_was_seen_and_what_is_barred_for_all_stays_out(client_of):
    client = client_of(exclude_seen=True, barred=(1,))
    assert [one["item_id"] for one in post(client, "/v1/recommend", {"items": ["i0"]})["items"]] == [
        "a/b?c",
        "i2",
        "i3",
    ]
    assert post(client, "/v1/recommend", {"user_id": "ann"})["items"] == []
    assert "i1" not in [one["item_id"] for one in get(client, "/v1/items/i0/similar")["items"]]


def test_where_nothing_is_known_it_is_what_is_popular_and_says_so(client_of):
    client = client_of(n_items=4)
    for body in ({}, {"items": ["no such"]}, {"user_id": "nobody"}, {"user_id": "bob"}, {"items": ["a/b?c"]}):
        answer = post(client, "/v1/recommend", {**body, "n": 2})
        assert answer["fallback"] and shown(answer) == [(1, "i1", 1.0), (2, "a/b?c", 1.0)]
        assert answer["model_version"] == "model of first"
    scores = post(client, "/v1/score", {"user_id": "bob", "candidates": ["i0", "x"]})
    assert scores["fallback"] and scores["ignored"] == ["x"]
    assert scores["scores"] == [{"item_id": "i0", "score": pytest.approx(7 / 9)}]


def test_several_lists_are_those_of_each(client_of):
    client = client_of()
    whom = [{"items": ["i1"]}, {"user_id": "ann"}, {"items": ["no such"]}]
    together = post(client, "/v1/recommend/batch", {"requests": whom, "n": 4})["lists"]
    assert together == [post(client, "/v1/recommend", {**one, "n": 4}) for one in whom]
    post(client, "/v1/recommend/batch", {"requests": [{}] * 51}, 422)


def test_certain_items_are_scored_in_their_order(client_of):
    client = client_of(n_items=4)
    asked = {"items": ["i0"], "candidates": ["i2", "a/b?c", "i0", "x", "i0"]}
    scores = post(client, "/v1/score", asked)
    assert [one["item_id"] for one in scores["scores"]] == ["i2", "i0"]
    np.testing.assert_allclose([one["score"] for one in scores["scores"]], [SECOND, 1.0], atol=1e-6)
    assert scores["ignored"] == ["x", "a/b?c"] and not scores["fallback"]  # the last is newer than the model


def test_neighbours_are_the_nearest_by_cosine(client_of):
    client = client_of(n_items=4)
    answer = get(client, "/v1/items/i0/similar", n=2)
    assert shown(answer) == [(1, "i1", round(FIRST, 5)), (2, "i2", round(SECOND, 5))]
    assert answer["items"][0]["category"] == "Desserts"
    get(client, "/v1/items/no such/similar", 404)
    get(client, "/v1/items/a%2Fb%3Fc/similar", 404)  # newer than the model
    get(client, "/v1/items/i0", 200)


def test_what_a_user_had_is_told_newest_first(client_of):
    client = client_of()
    items = get(client, "/v1/users/ann/history")["items"]
    assert [(item["item_id"], item["day"]) for item in items] == [("i0", "2024-01-01"), ("i1", "2023-12-31")]
    assert [item["item_id"] for item in get(client, "/v1/users/ann/history", n=1)["items"]] == ["i0"]
    get(client, "/v1/users/nobody/history", 404)
    get(client, "/v1/users/a%2Fb%20%3F%25/history", 404)  # has a list, and nothing is kept of them


def test_the_context_moves_the_list_and_one_that_is_not_known_is_refused(client_of):
    client = client_of(in_context=True)
    plain = post(client, "/v1/recommend", {"items": ["i0"], "n": 1})
    assert shown(plain) == [(1, "i0", 1.0)]
    late = post(client, "/v1/recommend", {"items": ["i0"], "n": 1, "context": {"hour": 18}})
    assert late["items"][0]["item_id"] in ("i2", "i3")
    by_get = get(client, "/v1/users/ann/recommendations", context="hour:18", n=1)
    assert by_get["items"][0]["item_id"] == "i1" and by_get["model_version"] == "softmax_dnn-of-tests"
    for answer in (
        post(client, "/v1/recommend", {"items": ["i0"], "context": {"mood": "good"}}, 422),
        get(client, "/v1/users/ann/recommendations", 422, context="mood:good"),
    ):
        (wrong,) = answer["detail"]
        assert wrong["loc"][1:] == ["context", "mood"] and "it knows hour, recency_days" in wrong["msg"]
    get(client, "/v1/users/ann/recommendations", 422, context="hour")
    assert "it takes none" in str(post(client_of(), "/v1/score", {"candidates": ["i0"], "context": {"hour": 1}}, 422))


def test_a_night_without_such_a_model_says_so(keeper):
    load(keeper, "first", histories=HISTORIES)
    with TestClient(app_over(reader_of(keeper))) as client:
        for path, body in (
            ("recommend", {}), ("recommend/batch", {"requests": [{}]}), ("score", {"candidates": ["i0"]})
        ):  # fmt: skip
            assert "has no model" in post(client, f"/v1/{path}", body, 409)["detail"]
        get(client, "/v1/items/i0/similar", 409)
        get(client, "/v1/users/ann/recommendations", 409, context="hour:3")
        assert len(get(client, "/v1/users/ann/history")["items"]) == 2
        assert len(get(client, "/v1/users/ann/recommendations")["items"]) == 3


def test_another_night_brings_its_own_model(keeper):
    load(keeper, "first", model=partial(save_live, n_items=4))
    store = reader_of(keeper)
    store.refresh()
    before = store.live()["default"]
    load(keeper, "second", model=save_live, keep=1)
    assert store.refresh()
    after = store.live()["default"]
    assert (before.model.n_items, after.model.n_items) == (4, 5)
    assert before.model.top is not None and len(before.model.similar(0, 9)[0]) == 3  # whoever has the old one goes on
    store.close()


@pytest.mark.parametrize("path", ["recommend", "score"])
@pytest.mark.parametrize(
    "odd",
    ["", "x" * 513, "'; DROP TABLE lists; --", "../../etc/passwd", "😀", "\ud800", "\x00", "a\nb", None, 7, ["i0"], {}],
    ids=repr,
)
def test_odd_ids_are_never_a_failure_of_ours(client_of, path, odd):
    client = client_of()
    body = {"items": ["i0", odd], "user_id": odd, "candidates": ["i0", odd]}
    raw = json.dumps(body)
    answer = client.post(f"/v1/{path}", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 422), answer.text


def test_context_is_encoded_as_lists_are_made():
    context = LiveContext([HOUR, RECENCY], {})
    as_float = lambda packed: packed[1:].view(np.float32)[0]  # noqa: E731
    assert context.packed({}, None) is None
    packed = context.packed({"hour": 18, "recency_days": "5"}, None)
    assert packed[0] == 3 and as_float(packed) == pytest.approx((5.0 - 1.0) / 2.0)
    assert context.packed({"hour": " 9 "}, None)[0] == 2 and np.isnan(as_float(context.packed({"hour": "9"}, None)))
    assert [context.packed({"hour": value}, None)[0] for value in ("7", "")] == [1, 0]  # unknown, missing
    assert np.isnan(as_float(context.packed({"recency_days": "inf"}, None)))
    own = np.array([2, np.array([0.5], np.float32).view(np.int32)[0]], np.int32)
    moved = context.packed({"hour": 18}, own)
    assert moved[0] == 3 and as_float(moved) == 0.5 and own[0] == 2
    given = LiveContext([HOUR, RECENCY], {"hour": 9})
    assert given.packed({}, None)[0] == 2 and given.packed({}, own) is not own


def test_a_history_is_read_as_it_was_kept():
    text = '{"items":[3],"days":[0],"codes":[1],"numbers":[0.5,"NaN"],"context":"AgAAAP////8="}'
    history = history_of(text)
    assert history.side.codes.tolist() == [1] and np.isnan(history.side.numbers[1])
    assert history.context.tolist() == [2, -1] and history.rules == 0 and not len(history.seen)
