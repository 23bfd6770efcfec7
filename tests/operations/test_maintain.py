"""Upkeep of a root whose tables were written by hand, at times of the past."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.operations import maintain, trace
from recsys_spark.runs import Run
from recsys_spark.schemas import MODELS, RECOMMENDATIONS, RECOMMENDATIONS_CURRENT, RUNS, TABLES, USERS
from recsys_spark.upkeep import vacuum

NOW = datetime.now(UTC)
SETTINGS = ("maintain.least_hours=0", "maintain.keep_days=1", "maintain.keep_dates=1")
DAY = date(2024, 1, 31)


def write_versions(folder: Path, hours_ago: list[float]) -> None:
    """Versions 0, 1, 2, ... of `users`, each with one user of that number, as if written so long ago.

    Not by Spark, which remembers a log that it has seen.
    """
    schema = to_arrow_schema(USERS.schema)
    for version, hours in enumerate(hours_ago):
        row = {"user_id": f"user {version}", "user_idx": version, "run_id": "r"}
        write_deltalake(str(folder), pa.Table.from_pylist([row], schema=schema), mode="overwrite")
        then = time.time() - 3600 * hours
        log = folder / "_delta_log" / f"{version:020d}.json"
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] = int(then * 1000)
            if "add" in action:
                os.utime(folder / action["add"]["path"], (then, then))
        log.write_text("\n".join(json.dumps(action) for action in actions) + "\n")
        os.utime(log, (then, then))


def artifact(run: Run, *names: str, days_ago: float) -> Path:
    folder = Path(storage.join(run.artifacts, *names))
    (folder / "arrays").mkdir(parents=True)
    file = folder / "arrays" / "000.npy"
    file.write_bytes(b"weights")
    then = time.time() - 86400 * days_ago
    os.utime(file, (then, then))
    return folder


def leave_run(
    run: Run, run_id: str, stage: str, days_ago: float, read: dict[str, int], written: dict[str, int]
) -> None:
    started = NOW - timedelta(days=days_ago)
    row = (run_id, "p", stage, DAY, "done", started, 1.0, "hash", "yaml", "0.1.0", read, written, {}, None)
    run.tables.append(RUNS, run.spark.createDataFrame([row], RUNS.schema))


def leave_lists(run: Run, day: date, run_id: str) -> None:
    row = (day, "default", "u", 1, "i", 1.0, "model", None, ["model"], 1.0, "neumf-live", run_id)
    frame = run.spark.createDataFrame([row], RECOMMENDATIONS.schema)
    run.tables.replace(RECOMMENDATIONS, frame, {"as_of_date": day})
    run.tables.replace(RECOMMENDATIONS_CURRENT, frame, {"variant": "default"})


def user_of(run: Run, version: int) -> str:
    return run.tables.read_version("users", version).collect()[0]["user_id"]


@pytest.mark.slow
def test_what_runs_name_stays_and_what_nobody_names_goes(spark, make_run, capsys):
    run = make_run("maintain", *SETTINGS)
    write_versions(Path(run.root) / "users", [10, 8, 5.5, 1])
    leave_run(run, "train-live", "train", 90, {}, {"models": 1})
    leave_run(run, "recommend-live", "recommend", 0.2, {"users": 2, "models": 1}, {})
    old = artifact(run, "models", "neumf-old", "gone", days_ago=90)
    killed = artifact(run, "checkpoints", "neumf-old", "neumf", days_ago=90)
    maintain.run(make_run("maintain", *SETTINGS, "maintain.dry_run=true"))
    assert user_of(run, 0) == "user 0" and old.exists()

    made = NOW - timedelta(days=90)
    row = ("neumf-live", "neumf", DAY, "production", "p", None, None, 1, None, "h", made, "train-live")
    run.tables.append(MODELS, spark.createDataFrame([row], MODELS.schema))
    for day, run_id in ((date(2024, 1, 30), "gone"), (DAY, "recommend-live")):
        leave_lists(run, day, run_id)
    live = artifact(run, "models", "neumf-live", "train-live", days_ago=90)
    replaced = artifact(run, "models", "neumf-live", "train-before", days_ago=90)
    going_on = artifact(run, "grown", "neumf-live", "now", days_ago=0)
    done = make_run("maintain", *SETTINGS)
    maintain.run(done)
    assert user_of(done, 2) == "user 2" and user_of(done, 3) == "user 3"
    with pytest.raises(Exception, match=r"(?i)does not exist|not found"):
        user_of(done, 0)
    assert [folder.exists() for folder in (live, replaced, old, killed, going_on)] == [True, False, False, False, True]
    assert not old.parent.exists()
    assert done.counts["artifacts_removed"] == 3 and done.counts["dates_dropped"] == 1
    assert done.counts["files_vacuumed"] >= 1

    after = make_run("lineage")
    assert [row["as_of_date"] for row in after.tables.read("recommendations").collect()] == [DAY]
    assert len(after.tables.read("runs").inputFiles()) == 1
    after.options = {"user_id": "u", "rank": 1, "run_id": None}
    capsys.readouterr()
    trace.run(after)
    said = capsys.readouterr().out
    assert "rank 1 of user u: item i, score 1.0000, model, from model; lists of 2024-01-31, variant default" in said
    assert "model neumf-live, trained by train-live, artifact p" in said
    assert "read models version 1, written by train train-live" in said
    after.options = {"user_id": None, "rank": 1, "run_id": "nobody"}
    with pytest.raises(UserError, match="has no run nobody"):
        trace.run(after)


@pytest.mark.slow
def test_files_of_a_needed_version_stay_though_the_hours_do_not_reach_back(make_run):
    run = make_run("maintain")
    write_versions(Path(run.root) / "users", [10, 8, 5.5, 1])
    assert vacuum(run.tables, "users", 2, oldest=1) is None
    assert user_of(run, 1) == "user 1"
    assert vacuum(run.tables, "users", 6, oldest=2) == 1


def test_tables_that_are_read_as_files_are_not_joined():
    joined = {table.name for table in TABLES.values() if not table.read_as_files}
    assert {"train_examples", "train_sequences", "train_impressions", "eval_examples"}.isdisjoint(joined)
    assert {"user_encoded", "item_encoded"}.isdisjoint(joined)
    assert {"events", "recommendations", "runs"} <= joined
