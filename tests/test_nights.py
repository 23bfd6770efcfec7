"""Nights through the very jobs, on sixty users of a made-up shop: days that gates stop, kills, backfills, a second run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import pipeline
from recsys_spark.cli import main
from recsys_spark.errors import EXIT_BUSY, EXIT_DONE, EXIT_GATED
from recsys_spark.lease import Lease, holder
from recsys_spark.schemas import ITEM_AVAILABILITY, TABLES
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.stages import PIPELINE
from recsys_spark.storage import load_manifest
from recsys_spark.tables import Tables
from recsys_spark.views import VIEWS, view_query
from tests.test_docs import HERE, blocks, by_name, queries_in_text

USERS, ITEMS, DAYS, N = 60, 30, 8, 22  # more than are left of half the catalogue
FIRST, NEXT = date(2024, 1, DAYS), date(2024, 1, DAYS + 1)
LATE, LATE_DAY = "novelty", 7  # an item that nobody had before that day
FEW_DAYS_TEACH_LITTLE = ("overlap", "lift_ratio", "over_popularity", "score_drift")
SETTINGS = (
    "dataset=nights", "ingest.format=mapping", "ingest.mapping.time_unit=format",
    "ingest.mapping.time_format=yyyy-MM-dd HH:mm:ss", "split.kind=leave_last_two", "run.shuffle_partitions=2",
    "run.lease_seconds=0", "training.epochs=1", "training.batch_rows=64", "examples.draws=1",
    "examples.rows_per_file=200", "model.neumf.gmf_width=4", "model.neumf.mlp_width=4", "model.neumf.mlp_layers=[4]",
    "evaluate.ks=[10]", "evaluate.protocols=[full]", "evaluate.splits=[test]", "evaluate.baselines=[popularity]",
    f"recommend.n={N}", "night.retrain_days=7", "night.between=keep", "publish.champion=false",
    *(f"publish.gates.{gate}={{low: null, high: null}}" for gate in FEW_DAYS_TEACH_LITTLE),
)  # fmt: skip


def item_of(user: int, day: int) -> str:
    """What a user takes on a day: never the same twice."""
    return LATE if day == LATE_DAY and user % 2 == 0 else f"i{(7 * user + 3 * day) % ITEMS}"


def delivered(folder: Path, days: range, users: int = USERS) -> Path:
    """A file with an event of each user on each of these days of January."""
    lines = [f"u{user},{item_of(user, day)},2024-01-{day:02d} 12:00:00" for day in days for user in range(users)]
    file = folder / f"{days.start}-{users}.csv"
    file.write_text("\n".join(["user_id,item_id,event_time", *lines]) + "\n")
    return file


def arguments(root: Path, source: Path, *more: str, as_of: date | None = None) -> list[str]:
    columns = "ingest.mapping.columns={user_id: user_id, item_id: item_id, event_time: event_time}"
    settings = (*SETTINGS, f"ingest.path={source}", columns, *(one for one in more if "=" in one))
    asked = ["--as-of", str(as_of)] if as_of else []
    options = [one for one in more if "=" not in one]
    return ["--root", str(root), *asked, *options, *(part for one in settings for part in ("--set", one))]


def run(*argv: str, stages: tuple[str, ...] = PIPELINE) -> int:
    return main(*stages, description="test", argv=list(argv))


@pytest.fixture(scope="module")
def night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root after a first night."""
    folder = tmp_path_factory.mktemp("first")
    source = delivered(folder, range(1, DAYS + 1))
    assert run(*arguments(folder / "root", source, as_of=FIRST)) == EXIT_DONE
    yield folder / "root"


@pytest.fixture
def root(night: Path, tmp_path: Path) -> Path:
    """A copy of it, to go on with."""
    return Path(shutil.copytree(night, tmp_path / "root"))


def table(spark: SparkSession, root: Path, name: str, day: date | None = None) -> DataFrame:
    rows = Tables(spark, str(root)).read(name)
    return rows if day is None else rows.where(F.col("as_of_date") == day)


def told(frame: DataFrame) -> list[str]:
    return sorted(map(str, frame.drop("run_id").collect()))


def live_in_store(root: Path) -> date:
    store = EmbeddedStore(str(root / "artifacts" / "store"))
    store.refresh()
    return store.live()["default"].about.as_of_date


def failed_gates(spark: SparkSession, root: Path, day: date) -> set[str]:
    return {row["gate"] for row in table(spark, root, "gate_results", day).where("verdict = 'failed'").collect()}


@pytest.mark.slow
def test_ten_times_the_events_of_ten_times_the_users_leave_the_lists_of_the_day_before(spark, root, tmp_path, capsys):
    before = told(table(spark, root, "recommendations_current"))
    source = delivered(tmp_path, range(NEXT.day, NEXT.day + 1), 10 * USERS)
    assert run(*arguments(root, source, as_of=NEXT)) == EXIT_GATED
    assert table(spark, root, "events").where("event_time >= '2024-01-09'").count() == 10 * USERS
    assert table(spark, root, "recommendations", NEXT).count() == 10 * USERS * N
    assert failed_gates(spark, root, NEXT) >= {"users_ratio", "rows_ratio"}
    assert (
        "users with a list, as a multiple of those in the live lists: 10, expected 0.8 to 1.5"
        in capsys.readouterr().err
    )
    assert told(table(spark, root, "recommendations_current")) == before and live_in_store(root) == FIRST


@pytest.mark.slow
def test_half_of_the_catalogue_gone_leaves_the_live_lists(spark, root, tmp_path):
    before = told(table(spark, root, "recommendations_current"))
    ended = F.to_timestamp(F.lit("2024-01-08 00:00:00"))
    gone = spark.range(0, ITEMS, 2).select(F.concat(F.lit("i"), "id").alias("item_id"))
    spans = gone.withColumns({"available_from": F.lit(None).cast("timestamp"), "available_to": ended})
    Tables(spark, str(root)).append(ITEM_AVAILABILITY, spans)
    assert run(*arguments(root, tmp_path, as_of=FIRST), stages=("recommend", "publish")) == EXIT_GATED
    assert table(spark, root, "recommendations", FIRST).join(gone, "item_id").isEmpty()
    assert failed_gates(spark, root, FIRST) >= {"full_lists", "rows_ratio"}
    assert told(table(spark, root, "recommendations_current")) == before and live_in_store(root) == FIRST


def killed_after(stage: str) -> Callable[[str], Callable[[object], None]]:
    """Stages of which one is killed when all is written but its row in `runs`."""
    really = pipeline.stage_named

    def named(name: str) -> Callable[[object], None]:
        def stage_and_kill(of: object) -> None:
            really(name)(of)
            raise SystemExit("killed")

        return stage_and_kill if name == stage else really(name)

    return named


@pytest.mark.slow
@pytest.mark.parametrize(("between", "stage"), [("keep", "features"), ("warm", "train")])
def test_a_night_between_trainings_that_is_killed_goes_on(spark, root, tmp_path, monkeypatch, between, stage):
    source = delivered(tmp_path, range(NEXT.day, NEXT.day + 1))
    argv = arguments(root, source, f"night.between={between}", "night.warm_epochs=1", as_of=NEXT)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(pipeline, "stage_named", killed_after(stage))
        run(*argv)
    first = table(spark, root, "models").where("fit = 'production'").sort("created_at").head()["model_version"]
    assert run(*argv) == EXIT_DONE
    runs = table(spark, root, "runs", NEXT).collect()
    stages = [row["stage"] for row in sorted(runs, key=lambda row: row["started_at"])]
    trains = ("examples", "train", "evaluate")
    assert stages == [one for one in PIPELINE if between == "warm" or one not in trains]  # each once
    assert len({row["pipeline_id"] for row in runs}) == 1
    assert table(spark, root, "interactions", NEXT).count() == USERS * NEXT.day
    production = table(spark, root, "sequences", NEXT).where("fit = 'production'")
    assert {len(row["items"]) for row in production.collect()} == {NEXT.day} and production.count() == USERS
    live = table(spark, root, "recommendations_current")
    assert live.count() == USERS * N and live_in_store(root) == NEXT
    models = table(spark, root, "models", NEXT)
    if between == "keep":
        assert models.isEmpty() and {row[0] for row in live.select("model_version").distinct().collect()} == {first}
        return
    fits = {row["fit"]: row["started_from"] for row in models.collect()}
    assert len(fits) == models.count() and fits["production"] == first
    examples = table(spark, root, "train_examples", NEXT).groupBy("fit").count().collect()
    counts = {row["fit"]: row["count"] for row in examples}
    assert (counts["evaluate"], counts["production"]) == (USERS * (NEXT.day - 2), USERS * NEXT.day)


@pytest.mark.slow
def test_a_dry_run_says_what_a_night_would_do_and_writes_nothing(spark, night, tmp_path, capsys):
    def files() -> list[tuple[str, float]]:
        return sorted((str(path), path.stat().st_mtime) for path in night.rglob("*"))

    before, source = files(), delivered(tmp_path, range(NEXT.day, NEXT.day + 1))
    assert run(*arguments(night, source, "--dry-run", as_of=NEXT)) == EXIT_DONE
    said = capsys.readouterr().out
    for stage in PIPELINE:
        left_out = stage in ("examples", "train", "evaluate")
        assert f"{stage}: {'left out, the model is kept' if left_out else 'would run'}\n" in said
    assert re.search(rf"as of {NEXT}, configuration \w+, root {night}\n", said)
    events = Tables(spark, str(night)).version("events")
    assert f"there is events, version {events}, {USERS * DAYS:,} rows\n" in said
    assert re.search(rf"there is recommendations_current, version \d+, {USERS * N:,} rows\n", said)
    assert files() == before
    assert run(*arguments(tmp_path / "nowhere", source, "--dry-run")) == EXIT_DONE
    assert f"there is no table under {tmp_path}/nowhere yet" in capsys.readouterr().out
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.slow
def test_a_backfill_knows_of_each_day_no_later_event_and_has_a_model_of_it(spark, root, tmp_path):
    live = told(table(spark, root, "recommendations_current"))
    days = (date(2024, 1, 5), date(2024, 1, 6))
    source = delivered(tmp_path, range(1, DAYS + 1))
    argv = arguments(root, source, "--backfill", *map(str, days), "night.retrain_days=1")
    assert run(*argv) == EXIT_DONE
    index = {row["user_id"]: row["user_idx"] for row in table(spark, root, "users").collect()}
    named = {row["item_id"]: row["item_idx"] for row in table(spark, root, "items").collect()}
    for day in days:
        taken = {(index[f"u{user}"], named[item_of(user, n)]) for user in range(USERS) for n in range(1, day.day + 1)}
        found = table(spark, root, "interactions", day).select("user_idx", "item_idx").collect()
        assert sorted(map(tuple, found)) == sorted(taken)
        histories = table(spark, root, "sequences", day).where("fit = 'production'").collect()
        of_user = {row["user_idx"]: list(row["items"]) for row in histories}
        assert of_user[index["u3"]] == [named[item_of(3, n)] for n in range(1, day.day + 1)]
        examples = table(spark, root, "train_examples", day).where("fit = 'production'")
        assert {tuple(row) for row in examples.select("user_idx", "item_idx").collect()} == taken
        models = {row["fit"]: row for row in table(spark, root, "models", day).collect()}
        assert load_manifest(models["production"]["path"])["as_of_date"] == str(day)
        lists = table(spark, root, "recommendations", day)
        assert {row[0] for row in lists.select("model_version").distinct().collect()} == {
            models["production"]["model_version"]
        }
        assert lists.count() == USERS * N and lists.where(F.col("item_id") == LATE).isEmpty()
    assert not table(spark, root, "recommendations", FIRST).where(F.col("item_id") == LATE).isEmpty()
    assert told(table(spark, root, "recommendations_current")) == live and live_in_store(root) == FIRST


def test_a_second_run_ends_with_exit_code_4_and_says_who_is_at_work(spark, tmp_path, capsys):
    root, source = tmp_path / "root", delivered(tmp_path, range(1, 2))
    argv = arguments(root, source, "run.lease_seconds=600", as_of=FIRST)
    with Lease(spark, str(root), "the first", 600):
        assert run(*argv) == run(*argv, stages=("ingest",)) == EXIT_BUSY
    said = capsys.readouterr().err
    assert f"busy: {root} is in use: {holder()} (host/process/start) has its lease" in said
    assert not (root / "events").exists() and not (root / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("page", ["runbook", "tables"])
def test_queries_of_the_pages_run_in_spark(spark, night, page):
    tables = Tables(spark, str(night))
    for known in TABLES.values():
        tables.read_or_empty(known).createOrReplaceTempView(known.name)
    for view in VIEWS.values():
        spark.sql(view_query(view, str)).createOrReplaceTempView(view.name)
    file = HERE / "docs" / f"{page}.md"
    queries = [*blocks(file, "sql"), *queries_in_text(file)]
    assert queries
    for query in queries:
        for one in filter(str.strip, by_name(query).replace("REPLACE VIEW", "REPLACE TEMP VIEW").split(";")):
            spark.sql(one).limit(5).collect()
