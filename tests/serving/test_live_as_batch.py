"""What is answered live is what the batch job says for the same user: the same items in the same order, scores to 1e-4."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from recsys_spark import schemas
from recsys_spark.models.forward import EXPORTED
from recsys_spark.publish.stage import move
from recsys_spark.recommend.stage import run as recommend
from recsys_spark.runs import run_stage
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.fill import filled_again
from recsys_spark.storage import load_arrays
from tests.models.test_forward import LENGTH, saved
from tests.recommend.test_stage import AS_OF, EVENTS, FILTERS, N_ITEMS, N_USERS, NEVER, SEEN, day, write_world
from tests.serving.service import app_over

pytestmark = pytest.mark.slow
PRODUCTION = {"as_of_date": AS_OF, "fit": "production"}
HOUR = {
    "feature": {"name": "hour", "of": "context", "kind": "categorical", "source": "hour", "max_size": 9, "min_count": 1},
    "first": 0, "length": 1, "size": 6, "mean": None, "std": None, "vocabulary": {"9": 2, "18": 3, "20": 4, "21": 5},
}  # fmt: skip
RECENCY = {
    "feature": {"name": "recency", "of": "context", "kind": "dense", "source": "recency_days", "log": True},
    "first": 0, "length": 1, "size": None, "mean": 1.5, "std": 0.5, "vocabulary": None,
}  # fmt: skip


def write_model(run, name: str, repeats: bool) -> None:
    """A model of random weights that knows all users and items, their features, and contexts."""
    path, version = f"{run.root}/{name}", f"{name}-of-tests"
    told = {"model_version": version, "context": [HOUR, RECENCY], "as_of_date": AS_OF.isoformat()}
    saved(name, repeats, path, N_USERS, N_ITEMS, **told)
    arrays = {key.rpartition(" ")[2]: array for key, array in load_arrays(path).items()}
    if "user_side/codes" in arrays:
        sides = zip(arrays["user_side/codes"].tolist(), arrays["user_side/numbers"].tolist(), strict=True)
        rows = [(AS_OF, "production", user, *side) for user, side in enumerate(sides)]
        run.tables.append(schemas.USER_ENCODED, run.spark.createDataFrame(rows, schemas.USER_ENCODED.schema))
    row = (version, name, AS_OF, "production", path, None, None, 1, None, None, day(31), "test")
    run.tables.append(schemas.MODELS, run.spark.createDataFrame([row], schemas.MODELS.schema))
    last = [(user, day(max(at for who, _, at in EVENTS if who == user))) for user in range(N_USERS)]
    features = [(AS_OF, "production", user, 3, 2, None, time, None, None) for user, time in last]
    frame = run.spark.createDataFrame(features, schemas.USER_FEATURES.schema)
    run.tables.replace(schemas.USER_FEATURES, frame, PRODUCTION)
    popular = [(AS_OF, "production", item, 1, 1, None, None, None) for item in range(N_ITEMS)]
    frame = run.spark.createDataFrame(popular, schemas.ITEM_FEATURES.schema)
    run.tables.replace(schemas.ITEM_FEATURES, frame, PRODUCTION)


def shown(client, body: dict[str, object]) -> list[tuple[str, float]]:
    answer = client.post("/v1/recommend", json={"n": 6, **body})
    assert answer.status_code == 200, answer.text
    assert not answer.json()["fallback"]
    return [(item["item_id"], item["score"]) for item in answer.json()["items"]]


@pytest.mark.parametrize("name", EXPORTED)
def test_live_lists_are_those_of_the_batch(make_run, name):
    exclude_seen = name in ("two_tower", "sasrec")
    given = [
        *FILTERS, f"model.name={name}", f"examples.window={LENGTH}", f"recommend.exclude_seen={exclude_seen}",
        "recommend.n=6", "recommend.context={hour: 9}", "publish.champion=false", "store.history=2",
    ]  # fmt: skip
    run = make_run("recommend", *given, as_of=str(AS_OF))
    write_world(run.root, None)
    write_model(run, name, repeats=name != "two_tower")
    run_stage(run, recommend)
    publish = make_run("publish", *given, as_of=str(AS_OF))
    move(publish, {"as_of_date": AS_OF, "variant": "default"}, f"{name}-of-tests")
    batch = defaultdict(list)
    for row in publish.tables.read("recommendations_current").orderBy("user_id", "rank").collect():
        batch[row["user_id"]].append((row["item_id"], row["score"]))
    assert len(batch) == N_USERS
    with TestClient(app_over(EmbeddedStore(f"{publish.artifacts}/store"))) as client:
        for user in range(N_USERS):
            live = shown(client, {"user_id": f"u{user}"})
            without = NEVER[user] | (SEEN[user] if exclude_seen else set())
            assert len(live) == min(6, N_ITEMS - len(without))
            expected = batch[f"u{user}"][: len(live)]  # the rest of it is what is popular
            assert [item for item, _ in live] == [item for item, _ in expected]
            np.testing.assert_allclose([score for _, score in live], [score for _, score in expected], atol=1e-4)
            moved = shown(client, {"user_id": f"u{user}", "context": {"hour": 20}})
            assert [score for _, score in moved] != [score for _, score in live]
            had = [item for who, item, _ in sorted(EVENTS, key=lambda event: event[2]) if who == user]
            told = client.get(f"/v1/users/u{user}/history", params={"n": 100}).json()["items"]
            assert [item["item_id"] for item in told] == [f"i{item}" for item in had[-LENGTH:][::-1]]
        stranger = {item for item, _ in shown(client, {"items": ["i0"]})}
        assert not stranger & {"i3", "i5", "i8"}  # sold out, a toy, without an event
        whole = shown(client, {"user_id": "u4"})
        forgotten = make_run("forget", *given, as_of=str(AS_OF))
        gone = forgotten.tables.read("recommendations_current").where("user_id <> 'u0'")
        forgotten.tables.replace(schemas.RECOMMENDATIONS_CURRENT, gone)
        filled_again(forgotten)
    assert len(list(Path(publish.artifacts, "store").glob("*/model/manifest.json"))) == 1
    with TestClient(app_over(EmbeddedStore(f"{publish.artifacts}/store"))) as client:
        assert shown(client, {"user_id": "u4"}) == whole
        assert client.get("/v1/users/u0/history").status_code == 404
        assert client.post("/v1/recommend", json={"user_id": "u0"}).json()["fallback"]
