"""What is answered live is what the batch job says for the same user: the same items in the same order, scores to 1e-4."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pyspark.sql import functions as F

from recsys_spark.cli import main
from recsys_spark.models.forward import EXPORTED
from recsys_spark.serving.embedded import EmbeddedStore
from tests.open_gates import OPEN_GATES
from tests.serving.service import app_over

pytestmark = pytest.mark.slow
FEATURES = [
    {"name": "age", "of": "user", "kind": "categorical", "source": "age"},
    {"name": "recency", "of": "user", "kind": "dense", "source": "recency_days", "log": True},
    {"name": "category", "of": "item", "kind": "multi_hot", "source": "category"},
    {"name": "price", "of": "item", "kind": "dense", "source": "price"},
    {"name": "hour", "of": "context", "kind": "categorical", "source": "hour"},
    {"name": "ago", "of": "context", "kind": "dense", "source": "recency_days", "log": True},
]
RULE = {"name": "young", "users": "age = '18-24' OR age IS NULL", "items": "price > 20"}
SETTINGS = {
    "run.shuffle_partitions": 2,
    "run.lease_seconds": 0,
    "generate.users": 40,
    "generate.items": 60,
    "generate.events": 2000,
    "generate.days": 30,
    "generate.partitions": 2,
    "features.declared": json.dumps(FEATURES),
    "examples.fits": "[production]",
    "examples.kinds": "[pairs, sequences]",
    "examples.window": 7,
    "training.epochs": 2,
    "training.batch_rows": 16,
    "training.learning_rate": 0.01,
    "training.folding_items": 0,
    "recommend.n": 8,
    "recommend.context": "{hour: 9}",
    "recommend.filters.rules": json.dumps([RULE]),
    "recommend.filters.blocked_categories": "[]",
    "publish.champion": "false",
    "store.history": 3,
    **OPEN_GATES,
}


def job(root: Path, *stages: str, **changes: object) -> None:
    given = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    argv = ["--root", str(root), *[part for key, value in given.items() for part in ("--set", f"{key}={value}")]]
    assert main(*stages, description="test", argv=argv) == 0


@pytest.fixture(scope="module")
def root(spark, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("live") / "root"
    job(root, "generate", "index", "features", "examples")
    return root


def lists_of(spark, root: Path, variant: str) -> dict[str, list[tuple[str, float]]]:
    rows = spark.read.format("delta").load(f"{root}/recommendations_current").where(F.col("variant") == variant)
    lists: dict[str, list[tuple[str, float]]] = {}
    for row in rows.where(~F.col("reason_code").startswith("popular")).orderBy("user_id", "rank").collect():
        lists.setdefault(row["user_id"], []).append((row["item_id"], row["score"]))
    return lists


def post(client, body, path="/v1/recommend"):
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("name", EXPORTED)
def test_live_lists_are_those_of_the_batch(spark, root, name):
    repeats = {} if name == "two_tower" else {f"model__{name}__repeats": "true"}
    exclude_seen = "true" if name in ("two_tower", "gru4rec") else "false"
    own = {"model__name": name, "recommend__variant": name, "recommend__exclude_seen": exclude_seen, **repeats}
    job(root, "train", "recommend", "publish", **own)
    lists = lists_of(spark, root, name)
    assert len(lists) > 30 and sum(map(len, lists.values())) > 100
    with TestClient(app_over(EmbeddedStore(f"{root}/artifacts/store"))) as client:
        for user, expected in lists.items():
            answer = post(client, {"user_id": user, "n": 8, "variant": name})
            assert not answer["fallback"] and answer["model_version"].startswith(name)
            live = [(item["item_id"], item["score"]) for item in answer["items"]][: len(expected)]
            assert [item for item, _ in live] == [item for item, _ in expected]
            np.testing.assert_allclose([score for _, score in live], [score for _, score in expected], atol=1e-4)
        user, first = next(iter(lists.items()))
        moved = client.get(f"/v1/users/{user}/recommendations", params={"context": "hour:20", "variant": name, "n": 8})
        assert moved.status_code == 200 and [i["score"] for i in moved.json()["items"]] != [score for _, score in first]
        same = client.get(f"/v1/users/{user}/recommendations", params={"context": "hour:9", "variant": name, "n": 8})
        assert [i["item_id"] for i in same.json()["items"]][: len(first)] == [item for item, _ in first]


def test_the_night_trains_a_second_model_that_answers_live(spark, root):
    own = {"model__name": "matrix_factorization", "retriever__name": "two_tower", "recommend__variant": "both"}
    settings = json.dumps({"training.epochs": 1, "model.two_tower.width": 8})
    job(root, "train", "recommend", "publish", **own, retriever__settings=settings)
    trained = spark.read.format("delta").load(f"{root}/models").where("fit = 'production'")
    assert {"matrix_factorization", "two_tower"} <= {row["model_name"] for row in trained.collect()}
    store = EmbeddedStore(f"{root}/artifacts/store")
    with TestClient(app_over(store)) as client:
        model = store.live()["both"].model
        assert model.model_version.startswith("two_tower-") and model.similar(0, 3)[0].size == 3
        history = client.get("/v1/users/1/history", params={"variant": "both", "n": 100}).json()["items"]
        latest = spark.read.format("delta").load(f"{root}/sequences").where("fit = 'production'")
        ids = spark.read.format("delta").load(f"{root}/users").where("user_id = '1'")
        kept = latest.join(ids, "user_idx").head()["items"]
        names = {row["item_idx"]: row["item_id"] for row in spark.read.format("delta").load(f"{root}/items").collect()}
        assert [item["item_id"] for item in history] == [names[item] for item in kept[-7:][::-1]]
        first = post(client, {"items": [names[3], names[4]], "variant": "both", "n": 3})
        other = post(client, {"items": [names[9], names[1]], "variant": "both", "n": 3})
        assert not first["fallback"] and first["items"] != other["items"]
