"""What publish writes down beside the lists: gates, measured quality, the map."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pytest

from recsys_spark import storage
from recsys_spark.schemas import GATE_RESULTS, ITEM_ATTRIBUTES, ITEM_FEATURES, ITEMS, METRICS, MODELS
from recsys_spark.schemas.table import Table
from recsys_spark.serving.night_answers import Health, Map
from recsys_spark.serving.sheets import sheets

DAY = date(2024, 1, 3)
WHERE = {"as_of_date": DAY, "variant": "default"}


@pytest.fixture
def run(make_run):
    return make_run("publish", as_of=DAY.isoformat())


def put(run, table: Table, *rows: dict) -> None:
    """Rows of a table, null in what they do not say."""
    values = [tuple(row.get(name) for name in table.schema.names) for row in rows]
    run.tables.append(table, run.spark.createDataFrame(values, table.schema))


def gate(name: str, run_id: str, hour: int, **given) -> dict:
    return {
        "run_id": run_id, "as_of_date": DAY, "variant": "default", "gate": name, "verdict": "passed", "reason": "fine",
        "checked_at": datetime(2024, 1, 4, hour, tzinfo=UTC), **given,
    }  # fmt: skip


def figure(model: str, split: str, value: float, **given) -> dict:
    return {
        "as_of_date": DAY, "model_version": model, "model_name": model.partition("-")[0], "protocol": "full", "split": split,
        "segment": "all", "metric": "ndcg", "k": 10, "value": value, "n": 4, **given,
    }  # fmt: skip


def test_a_night_has_its_last_gates_and_what_its_model_was_measured_to_be(run):
    put(
        run,
        GATE_RESULTS,
        gate("whole", "early", 1, verdict="failed"),
        gate("coverage", "late", 2, value=0.5, low=0.25),
        gate("whole", "late", 2, value=0.0, high=0.0),
        gate("whole", "of another", 3, variant="b"),
        gate("whole", "of another day", 3, as_of_date=date(2024, 1, 2)),
        gate("rollback", "by hand", 9),
    )
    production, measured = "neumf-production", "neumf-evaluate"
    put(
        run,
        MODELS,
        {"model_version": production, "as_of_date": DAY, "path": "/nowhere", "evaluated_by": measured},
        {"model_version": measured, "as_of_date": DAY, "path": "/nowhere", "evaluated_by": measured},
    )
    put(
        run,
        METRICS,
        figure(measured, "test", 0.3, low=0.2, high=0.4),
        figure(measured, "validation", 0.9),
        figure("popularity", "test", 0.1),
        figure("another-evaluate", "test", 0.8),
        figure(measured, "test", 0.7, segment="cold"),
    )
    written = sheets(run, WHERE, production)
    assert written.keys() == {"health"}
    health = Health.model_validate_json(written["health"])
    assert [(one.gate, one.value, one.low, one.high, one.verdict) for one in health.gates] == [
        ("whole", 0.0, None, 0.0, "passed"),
        ("coverage", 0.5, 0.25, None, "passed"),
    ]
    assert [(one.model_name, one.split, one.value, one.low) for one in health.measured] == [
        ("neumf", "test", 0.3, 0.2),
        ("popularity", "test", 0.1, None),
    ]
    assert json.loads(sheets(run, WHERE, "unknown")["health"])["measured"] == []


def test_the_map_has_the_items_of_most_users_by_the_models_vectors(run, tmp_path):
    location = str(tmp_path / "artifact")
    vectors = np.array([[2, 0, 0], [0, 3, 0], [-4, 0, 0], [0, -5, 0]], np.float32)
    storage.save_folder(location, {}, {"001 model/item_gmf": vectors})
    put(run, MODELS, {"model_version": "neumf-1", "as_of_date": DAY, "path": location})
    put(run, ITEMS, *({"item_id": f"i{n}", "item_idx": n} for n in range(6)))
    put(run, ITEM_ATTRIBUTES, {"item_id": "i1", "title": "Crème", "category": "A|B"})
    put(
        run,
        ITEM_FEATURES,
        *({"as_of_date": DAY, "fit": "production", "item_idx": n, "users": 10 + n, "events": 1} for n in range(5)),
        {"as_of_date": DAY, "fit": "evaluate", "item_idx": 0, "users": 99, "events": 1},
    )
    found = Map.model_validate_json(sheets(run, WHERE, "neumf-1")["map"])
    assert [item.item_id for item in found.items] == ["i3", "i2", "i1", "i0"]  # i4 came after the model
    assert (found.items[2].title, found.items[2].category, found.items[2].users) == ("Crème", "A|B", 11)
    places = np.array([(item.x, item.y) for item in found.items])
    # of unit length the four are at right angles about their mean
    np.testing.assert_allclose(np.hypot(*places.T), np.hypot(*places.T)[0], atol=1e-3)
    np.testing.assert_allclose(places[[0, 1]], -places[[2, 3]], atol=1e-3)
    assert sum(found.explained) == pytest.approx(1.0) and found.model_version == "neumf-1"


def test_a_model_without_item_vectors_has_no_map(run, tmp_path):
    location = str(tmp_path / "artifact")
    storage.save_folder(location, {}, {"000 model/kernel": np.ones((2, 2), np.float32)})
    put(run, MODELS, {"model_version": "din-1", "as_of_date": DAY, "path": location})
    assert sheets(run, WHERE, "din-1").keys() == {"health"}
