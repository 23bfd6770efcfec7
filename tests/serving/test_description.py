"""The OpenAPI description holds: whatever is sent, answers are as it says (schemathesis)."""

from __future__ import annotations

from functools import partial

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from recsys_spark.serving.keys import add_key
from tests.serving.live_models import HISTORIES, save_live
from tests.serving.nights import load
from tests.serving.service import app_over
from tests.serving.shop import health, plane

OPERATIONS = [
    ("POST", "/v1/events"),
    ("GET", "/v1/users/{user_id}/recommendations"),
    ("POST", "/v1/users/recommendations"),
    ("GET", "/v1/items"),
    ("GET", "/v1/items/{item_id}"),
    ("GET", "/v1/night"),
    ("GET", "/v1/users"),
    ("GET", "/v1/map"),
    ("POST", "/v1/recommend"),
    ("POST", "/v1/recommend/batch"),
    ("POST", "/v1/score"),
    ("GET", "/v1/items/{item_id}/similar"),
    ("GET", "/v1/users/{user_id}/history"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]
# which types are taken, and what time it is, stands in no schema
UNTOLD = {"/v1/events": [positive_data_acceptance]}


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    keeper = EmbeddedKeeper(str(tmp_path_factory.mktemp("described") / "store"))
    sheets = {"health": health(), "map": plane()}
    load(keeper, "first", sheets=sheets, histories=HISTORIES, model=partial(save_live, in_context=True))
    return keeper


@pytest.fixture(scope="module")
def open_to_all(keeper, tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    return schemathesis.openapi.from_asgi("/openapi.json", app_over(opened(keeper), f"serve.events_dir={folder}")), {}


@pytest.fixture(scope="module")
def with_keys(keeper, tmp_path_factory):
    """Schemathesis also tries without the key, and with wrong ones."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    key = add_key(str(file), "tests")
    app = app_over(opened(keeper), f"serve.keys_file={file}", "serve.burst=100000")
    return schemathesis.openapi.from_asgi("/openapi.json", app), {"Authorization": f"Bearer {key}"}


def opened(keeper):
    store = EmbeddedStore(keeper.location)
    store.refresh()
    return store


def test_every_operation_is_tried(open_to_all):
    described = [(one.ok().method.upper(), one.ok().path) for one in open_to_all[0].get_all_operations()]
    assert sorted(described) == sorted(OPERATIONS)


@pytest.mark.parametrize("service", ["open_to_all", "with_keys"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=str)
def test_answers_are_as_they_are_described(request, service, method, path):
    description, headers = request.getfixturevalue(service)

    @given(case=description[path][method].as_strategy())
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def holds(case):
        in_known_contexts(case)
        case.call_and_validate(headers=headers, excluded_checks=UNTOLD.get(path))

    holds()


def in_known_contexts(case):
    """Which names of a context there are hangs on the model and stands in no schema: values of any kind, of names it knows."""
    for part in (case.body, *(case.body.get("requests", ()) if isinstance(case.body, dict) else ())):
        if isinstance(part, dict) and isinstance(part.get("context"), dict):
            part["context"] = dict(zip(("hour", "recency_days"), part["context"].values(), strict=False))
    if isinstance(case.query, dict) and isinstance(case.query.get("context"), list):
        case.query["context"] = [f"hour:{one.partition(':')[2]}" for one in case.query["context"]]
