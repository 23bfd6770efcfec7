"""The counts of a root come from the logs of its tables, what they cost from its runs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark.capacity import Counts
from recsys_spark.capacity.root import counts_of, observed, plan_of
from recsys_spark.config import load_config
from recsys_spark.errors import MissingTableError
from recsys_spark.schemas import TABLES
from recsys_spark.tables import Tables

DAYS = (date(2024, 1, 1), date(2024, 1, 2))
NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)


def write(root, name, rows):
    schema = to_arrow_schema(TABLES[name].schema)
    table = pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema)
    write_deltalake(str(root / name), table, mode="append", partition_by=list(TABLES[name].partitioned_by) or None)


def run(number, stage, seconds, config, read, written, status="done"):
    return {
        "run_id": str(number),
        "pipeline_id": "night",
        "stage": stage,
        "status": status,
        "started_at": NOON + timedelta(minutes=number),
        "seconds": seconds,
        "config": config,
        "versions_read": list(read.items()),
        "versions_written": list(written.items()),
    }


@pytest.fixture
def root(tmp_path):
    write(tmp_path, "events", [{"user_id": str(n)} for n in range(4)])
    write(tmp_path, "users", [{"user_idx": n} for n in range(2)])
    write(tmp_path, "items", [{"item_idx": n} for n in range(3)])
    return tmp_path


@pytest.mark.slow
def test_counts_are_those_of_the_logs_and_pairs_of_the_newest_date(spark, root):
    tables, config = Tables(spark, str(root)), load_config()
    assert (counts_of(tables, config).events, counts_of(tables, config).pairs) == (4, 4)
    write(root, "interactions", [{"as_of_date": DAYS[0]}] * 3 + [{"as_of_date": DAYS[1]}] * 2)
    counts = counts_of(Tables(spark, str(root)), config)
    assert (counts.events, counts.users, counts.items, counts.pairs) == (4, 2, 3, 2)
    assert set(counts.row_bytes) == {"events", "users", "items", "interactions"}
    size = sum(file.stat().st_size for file in (root / "events").rglob("*.parquet"))
    assert counts.row_bytes["events"] == size / 4


def test_a_root_without_events_names_the_job(spark, tmp_path):
    with pytest.raises(MissingTableError, match=r"run jobs/ingest\.py first"):
        plan_of(Tables(spark, str(tmp_path)), load_config())


def test_runs_that_were_done_count_with_what_they_saw(spark, root):
    config = load_config()
    old, today = config.as_yaml(), Counts(9, 9, 9, 9)
    write(root, "events", [{"user_id": "later"}] * 5)  # version 1, which the run of the night did not see
    rows = [
        run(1, "index", 14.0, old, {"events": 0}, {"users": 0}),
        run(2, "index", 1.0, old, {"events": 0}, {}, status="failed"),
        run(3, "features", 2.0, "training: {epochs: none}\n", {"events": 0}, {}),
        run(4, "generate", 5.0, old, {}, {}),
        run(5, "recommend", 3.0, "dataset: of an older version\nof_old: 1\n", {"items": 77}, {}),
    ]
    write(root, "runs", rows)
    tables = Tables(spark, str(root))
    found = observed(tables, config, today)
    assert [(each.stage, each.seconds) for each in found] == [("recommend", 3.0), ("index", 14.0)]
    assert found[0].config == config.model_copy(update={"dataset": "of an older version"})
    assert found[1].counts == Counts(events=4, users=2, items=9, pairs=9)  # version 77 of the items is not there
    plan = plan_of(tables, config)
    assert [stage.name for stage in plan.stages if stage.observed] == ["index", "recommend"]
