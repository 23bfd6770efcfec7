"""A log of impressions through the very jobs: from what was shown where, and clicked or not, to lists that know no positions."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.cli import main
from recsys_spark.storage import load_manifest
from tests.open_gates import OPEN_GATES

USERS, ITEMS, SESSIONS, PLACES = 50, 24, 8, 6
SETTINGS = {
    "run.shuffle_partitions": 2,
    "run.lease_seconds": 0,
    "ingest.mapping.columns": "{user_id: user, item_id: item, event_time: at, event_type: what}",
    "ingest.mapping.time_unit": "s",
    "ingest.mapping.context": "[position]",
    "interactions.positive_types": "[click]",
    "examples.impression_types": "[click, view]",
    "model.name": "matrix_factorization",
    "model.matrix_factorization.loss_name": "clicks",
    "model.matrix_factorization.width": 4,
    "training.position": "tower",
    "training.epochs": 4,
    "training.batch_rows": 128,
    "training.learning_rate": 0.05,
    "evaluate.ks": "[5]",
    "recommend.n": 5,
    **OPEN_GATES,
}


def write_log(path: Path) -> int:
    """Items in random places, looked at with chance 1 / place; even users want even items. How many were clicked."""
    rng, clicks = np.random.default_rng(7), 0
    with path.open("w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["user", "item", "at", "what", "position"])
        for user in range(USERS):
            for session in range(SESSIONS):
                for place, item in enumerate(rng.permutation(ITEMS)[:PLACES].tolist(), 1):
                    wanted = 0.8 if (user + item) % 2 == 0 else 0.1
                    clicked = rng.random() < wanted / place
                    clicks += clicked
                    at = 1_700_000_000 + 86_400 * session + 60 * user + place
                    log.writerow([f"u{user}", f"i{item}", at, "click" if clicked else "view", place])
    return clicks


def table(spark: SparkSession, root: Path, name: str) -> DataFrame:
    return spark.read.format("delta").load(str(root / name))


def outcome(spark: SparkSession, root: Path) -> tuple[list[object], list[object]]:
    """The rows of lists and of metrics, less what tells one run from another."""
    lists = table(spark, root, "recommendations").select("user_id", "rank", "item_id", "score", "reason_code")
    metrics = table(spark, root, "metrics").select(
        "model_version", "protocol", "split", "segment", "metric", "k", "value", "n"
    )
    return sorted(map(tuple, lists.collect())), sorted(map(tuple, metrics.collect()), key=repr)


@pytest.mark.slow
def test_a_log_of_impressions_becomes_lists_that_know_no_positions(spark: SparkSession, tmp_path: Path) -> None:
    root, log = tmp_path / "root", tmp_path / "log.csv"
    clicks = write_log(log)
    conf = Path(__file__).parent.parent / "conf" / "events.yaml"
    settings = {**SETTINGS, "ingest.path": str(log)}
    argv = ["--config", str(conf), "--root", str(root)]
    argv += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    stages = ("ingest", "index", "features", "examples", "train", "evaluate", "recommend", "publish")
    assert main(*stages, description="test", argv=argv) == 0

    examples = table(spark, root, "train_impressions").groupBy("fit").agg(F.count("*"), F.sum("clicked"))
    counts = {row[0]: tuple(row)[1:] for row in examples.collect()}
    assert counts["production"] == (USERS * SESSIONS * PLACES, clicks)
    assert counts["evaluate"][0] < counts["production"][0] and counts["evaluate"][1] < clicks

    models = {row["fit"]: row for row in table(spark, root, "models").collect()}
    folder = Path(models["production"]["path"])
    manifest = load_manifest(str(folder))
    (file,) = (folder / "arrays" / file for file, name in manifest["arrays"].items() if "position_tower" in name)
    tower = np.load(file)[:, 0]
    known = table(spark, root, "shown_positions").where("fit = 'production' AND position IS NOT NULL").collect()
    codes = {row["position"]: row["shown_at"] for row in known}
    assert set(codes) == {str(place) for place in range(1, PLACES + 1)}
    assert tower[codes["1"]] > tower[codes[str(PLACES)]]  # where people look
    losses = [epoch["loss"] for epoch in manifest["history"]]
    assert losses[-1] < losses[0]

    current = table(spark, root, "recommendations_current")
    assert {row[0] for row in current.select("model_version").distinct().collect()} == {
        models["production"]["model_version"]
    }
    assert {row[0] for row in current.select("reason_code").distinct().collect()} <= {"model", "repeat"}
    assert current.where("array_contains(sources, 'popular')").isEmpty()  # nothing is fallback
    assert current.groupBy("user_id").count().where("count = 5").count() == USERS
    own = current.where("pmod(substring(user_id, 2) + substring(item_id, 2), 2) = 0").count()
    assert own > 0.7 * USERS * 5  # what they want: 0.5 by chance
    measured = table(spark, root, "metrics").where("model_name = 'matrix_factorization' AND segment = 'all'")
    found = {(row["protocol"], row["metric"]): row for row in measured.where("split = 'test'").collect()}
    for protocol in ("sampled", "full"):
        row = found[protocol, "ndcg"]
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1 and row["n"] > USERS / 2
    assert not [
        metric for _, metric in found if metric in ("log_loss", "accuracy")
    ]  # a score is no chance of a drawn item

    # at scoring nobody knows a position: none in the log, no examples, and a tower that says something else
    before = outcome(spark, root)
    events = table(spark, root, "events")
    bare = events.withColumn("context", F.create_map().cast("map<string,string>"))
    bare.write.format("delta").mode("overwrite").save(str(root / "events"))
    for name in ("train_impressions", "shown_positions"):
        shutil.rmtree(root / name)
    for row in models.values():
        names = load_manifest(row["path"])["arrays"]
        (file,) = (Path(row["path"]) / "arrays" / one for one, name in names.items() if "position_tower" in name)
        np.save(file, np.linspace(100.0, -100.0, len(tower), dtype=np.float32)[:, None])
    assert main("evaluate", "recommend", description="test", argv=argv) == 0
    assert outcome(spark, root) == before
