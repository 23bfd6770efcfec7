"""From POST /v1/events to `events`, by the configuration that comes with it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from recsys_spark.config import load_config
from recsys_spark.events import ingest
from recsys_spark.experiments.outcomes import exposures_told
from recsys_spark.schemas import SUPPRESSED
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.suppression import keep_key, key_id, keyed_hash, made_key
from tests.serving.service import app_over

CONF = Path(__file__).parent.parent.parent / "conf"
AT = "2024-05-06T12:00:00.000001Z"
SHOWN = {"event_type": "impression", "user_id": " ann", "item_id": "i0", "event_time": AT, "position": 2}
SEEN = {**SHOWN, "key": "page-1", "variant": "b", "experiment": "page"}
OTHER = {**SEEN, "key": "page-2", "user_id": "bob", "experiment": "another"}
BOUGHT = {
    "event_type": "purchase",
    "user_id": "ann",
    "item_id": "i1",
    "event_time": AT,
    "event_value": 2.5,
    "variant": "b",
}


def told(tmp_path: Path, folder: Path, *requests: list[dict]) -> None:
    """Requests to a service, which then stops."""
    with TestClient(app_over(EmbeddedStore(str(tmp_path / "store")), f"serve.events_dir={folder}")) as client:
        for events in requests:
            assert client.post("/v1/events", json={"events": events}).status_code == 202


@pytest.mark.slow
def test_what_was_told_is_in_the_events_once_and_nowhere_else(tmp_path, make_run):
    folder = tmp_path / "told"
    paths = ["run.shuffle_partitions=2", f"serve.events_dir={folder}", f"ingest.path={folder}/*.jsonl"]
    config = load_config([CONF / "feedback.yaml"], paths)

    def ingested():
        run = make_run("ingest", config=config)
        ingest.run(run)
        return run

    assert ingested().counts == {"rows_read": 0, "events_appended": 0}  # a night without feedback

    told(tmp_path, folder, [SEEN, OTHER], [SEEN, BOUGHT])  # the second sends again what the first was told
    (folder / "_still.open").write_text("{")
    run = ingested()
    assert run.counts["events_appended"] == 3 and run.counts["events_already_there"] == 1
    assert run.counts["files_removed"] == 1 and [path.name for path in folder.iterdir()] == ["_still.open"]
    events = run.tables.read("events")
    of = ("user_id", "item_id", "event_time", "event_type", "event_value", "context")
    assert sorted(map(tuple, events.select(*of).collect()), key=str) == [
        ("ann", "i0", datetime(2024, 5, 6, 12, 0, 0, 1), "impression", None,
         {"position": "2", "variant": "b", "experiment": "page"}),
        ("ann", "i1", datetime(2024, 5, 6, 12, 0, 0, 1), "purchase", 2.5, {"variant": "b"}),
        ("bob", "i0", datetime(2024, 5, 6, 12, 0, 0, 1), "impression", None,
         {"position": "2", "variant": "b", "experiment": "another"}),
    ]  # fmt: skip
    page = load_config(settings=["experiment.name=page", "experiment.variants={a: 0.5, b: 0.5}"]).experiment
    exposures = events.transform(exposures_told(page)).collect()
    assert [tuple(row) for row in exposures] == [("page", "ann", "b", datetime(2024, 5, 6, 12, 0, 0, 1))]

    key = made_key(run.tables)
    keep_key(run.tables, key)
    gone = (keyed_hash(key, "bob"), key_id(key), datetime(2024, 5, 7), "test")
    run.tables.append(SUPPRESSED, run.spark.createDataFrame([gone], SUPPRESSED.schema))
    told(tmp_path, folder, [SEEN], [{**OTHER, "key": "page-3"}, *[{**BOUGHT, "item_id": f"i{n}"} for n in range(30)]])
    (whole,) = folder.glob("*.jsonl")
    whole.write_bytes(whole.read_bytes() + b'{"event_id":"torn","user_')
    again = ingested().counts
    counted = ("events_appended", "events_already_there", "suppressed", "rejected_malformed")
    assert [again[name] for name in counted] == [30, 1, 1, 1]
    assert run.tables.read("events").where("user_id = 'bob'").count() == 1  # jobs/forget.py removes that one
    assert list(folder.glob("*.jsonl")) == []
