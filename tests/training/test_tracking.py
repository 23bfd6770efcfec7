"""What MLflow is told: tables with versions, a model that makes lists, files beside it, runs within a run, two aliases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark import schemas
from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.publish.registry import crown, decided, point
from recsys_spark.recommend.pyfunc import ListsOfModel
from recsys_spark.runs import Run
from recsys_spark.training.job import Epoch, Outcome
from recsys_spark.training.nested import Nested
from recsys_spark.training.tracking import TrackedRun, log_files, record, run_of
from tests.evaluate.conftest import AS_OF, NOON, SETTINGS, World, make_world
from tests.report.trained import VERSION, save_artifact

EPOCHS = tuple(Epoch(n, loss, 1.0, 10, {"ndcg@10": 1 - loss}) for n, loss in ((1, 0.9), (2, 0.5)))
OUTCOME = Outcome(EPOCHS, 2, "", "", 61)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str, str]:
    """A root, its store, and the run of a model that was trained there; written and read without Spark."""
    world = make_world(None, tmp_path_factory.mktemp("tracked"))  # type: ignore[arg-type]
    artifact, uri = str(world.folder / VERSION), f"sqlite:///{world.root}/mlflow.db"
    save_artifact(artifact)
    world.append(
        schemas.MODELS, [(VERSION, "gmf", AS_OF, "evaluate", artifact, VERSION, None, 2, 0.3, "hash", NOON, "r0")]
    )
    of = TrackedRun("r0", world.root, {"train_examples": (f"{world.root}/train_examples", 3)}, exclude_seen=True)
    run_id = record(uri, "tiny", VERSION, {"model": {"name": "gmf"}}, OUTCOME, artifact, {"folding": None}, of)
    return world, uri, run_id


@pytest.mark.slow
def test_a_run_has_its_figures_and_the_tables_it_was_trained_on(tracked):
    _, uri, run_id = tracked
    run = MlflowClient(uri).get_run(run_id)
    assert run.data.metrics["loss"] == 0.5 and run.data.metrics["best_epoch"] == 2 and "folding" not in run.data.metrics
    (entered,) = run.inputs.dataset_inputs
    assert entered.dataset.name == "train_examples" and '"delta_table_version": 3' in entered.dataset.source
    assert {tag.key: tag.value for tag in entered.tags} == {
        "mlflow.data.context": "training",
        "delta_table_version": "3",
    }
    assert run_of(uri, "tiny", VERSION, "r0") == run_id and run_of(uri, "tiny", VERSION, "r1") is None


@pytest.mark.slow
def test_the_model_makes_lists_of_user_ids(tracked):
    """User 0 had items 0 and 1, and scores 3.0, 5.0, 4.0 and 1.0 for the others; nobody knows user 3, or u9."""
    _, uri, run_id = tracked
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    assert model.metadata.signature.inputs.input_names() == ["user_id"]
    lists = model.predict(pd.DataFrame({"user_id": ["u9", "u0", "u3", "u0"]}), params={"n": 3})
    assert lists["user_id"].tolist() == ["u9", "u0", "u3", "u0"]
    popular = ["i0", "i1", "i2"]
    assert [list(items) for items in lists["items"]] == [popular, ["i3", "i4", "i2"], popular, ["i3", "i4", "i2"]]
    assert list(lists["scores"][1]) == [5.0, 4.0, 3.0]
    assert [set(reasons) for reasons in lists["reasons"]] == [{"popular"}, {"model"}, {"popular"}, {"model"}]
    assert len(model.predict(pd.DataFrame({"user_id": ["u0"]}))["items"][0]) == 4  # no more are left of ten


@pytest.mark.slow
def test_the_registry_leads_to_the_same_model(tracked):
    world, uri, _ = tracked
    row = Row(model_version=VERSION, run_id="r0", path=str(world.folder / VERSION))
    assert point(uri, "tiny", "tiny", "champion", row) == point(uri, "tiny", "tiny", "challenger", row) == "1"
    assert point(uri, "tiny", "tiny", "challenger", None) is None
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model("models:/tiny@champion")
    assert list(model.predict(pd.DataFrame({"user_id": ["u0"]}), params={"n": 1})["items"][0]) == ["i3"]
    assert MlflowClient(uri).get_registered_model("tiny").aliases.keys() == {"champion"}


@pytest.mark.slow
def test_files_lie_among_the_artifacts_of_the_run(tracked):
    _, uri, run_id = tracked
    files = {"index.html": b"<p>", "projector/vectors.tsv": b"1"}
    assert log_files(uri, "tiny", VERSION, "r0", files, "report") == run_id
    assert log_files(uri, "tiny", "v9", "r0", files, "report") is None
    client = MlflowClient(uri)
    assert {one.path for one in client.list_artifacts(run_id, "report")} == {"report/index.html", "report/projector"}


@pytest.mark.slow
def test_children_lie_below_one_parent_also_when_a_job_goes_on(tracked):
    world, uri, _ = tracked
    for number in (0, 1):  # two runs of the job
        run = Run("tune", world.spark, load_config(settings=SETTINGS), world.root, "test", AS_OF)
        error = "not finite" if number else None
        Nested(run, "study", "ndcg@10").child(
            f"trial {number}", {"rate": 0.1}, {"ndcg@10": 0.5, "lost": None}, [0.4, 0.5], error
        )
        assert run.notes == []
    client = MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string="name = 'tiny'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [one for one in runs if one.info.run_name == "study"]
    children = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted((one.info.run_name, one.info.status) for one in children) == [
        ("trial 0", "FINISHED"),
        ("trial 1", "FAILED"),
    ]
    assert children[0].data.metrics == {"ndcg_at_10": 0.5, "ndcg_at_10_by_epoch": 0.5}
    curve = client.get_metric_history(children[0].info.run_id, "ndcg_at_10_by_epoch")
    assert [point.value for point in curve] == [0.4, 0.5]


def test_a_store_that_cannot_be_reached_is_a_note():
    run = SimpleNamespace(
        config=load_config(), root="main.recsys", tables=SimpleNamespace(in_catalog=True), notes=[], seed=1
    )
    nested = Nested(run, "study")  # type: ignore[arg-type]
    nested.child("trial 0", {}, {})
    nested.child("trial 1", {}, {})
    assert len(run.notes) == 1 and "storage.tracking_uri is empty" in run.notes[0]


def test_a_root_without_tables_is_said(tmp_path: Path):
    with pytest.raises(UserError, match=r"there is no table `users` under .*model_config"):
        ListsOfModel(str(tmp_path), str(tmp_path / "elsewhere"), exclude_seen=True)
    with pytest.raises(UserError, match=r"root is main\.recsys, and no path"):
        ListsOfModel(str(tmp_path), "main.recsys", exclude_seen=True)


@pytest.fixture
def make_contest(make_run: Callable[..., Run]) -> Callable[..., Run]:
    """`make_contest({"default": "v2"}, v1=0, v2=1)`: live models by variant, and when production fits were entered."""

    def make(live: dict[str, str], **entered: int) -> Run:
        run = make_run("publish", "dataset=tiny")
        rows = [
            (name, "gmf", AS_OF, "production", f"/{name}", "e", None, 1, None, "hash", NOON + timedelta(days=day), "r")
            for name, day in entered.items()
        ]
        run.tables.append(schemas.MODELS, run.spark.createDataFrame(rows, schemas.MODELS.schema).coalesce(1))
        columns = schemas.RECOMMENDATIONS_CURRENT.schema.names
        lists = [
            tuple(
                {"as_of_date": AS_OF, "variant": variant, "user_id": "u", "model_version": model}.get(name)
                for name in columns
            )
            for variant, model in live.items()
        ]
        frame = run.spark.createDataFrame(lists, schemas.RECOMMENDATIONS_CURRENT.schema)
        run.tables.append(schemas.RECOMMENDATIONS_CURRENT, frame.coalesce(1))
        return run

    return make


def entered(version: str, variant: str | None = None) -> Row:
    """A model by its version, `v1` being older than `v2`."""
    return Row(model_version=version, variant=variant, created_at=NOON + timedelta(days=int(version[1:])))


@pytest.mark.parametrize(
    ("live", "newest", "expected"),
    [
        ([("v1", "default")], "v1", ("v1", None)),
        ([("v2", "default")], "v1", ("v2", None)),  # an older one challenges nobody
        ([("v1", "default")], "v2", ("v1", "v2")),  # a gate stopped v2
        ([("v2", "b"), ("v1", "default")], "v3", ("v1", "v2")),
        ([("v1", "default"), ("v1", "b")], None, ("v1", None)),
        ([("v2", "b")], "v2", ("v2", None)),
        ([], "v1", (None, "v1")),
        ([], None, (None, None)),
    ],
)
def test_who_is_champion_and_who_challenges(live, newest, expected):
    held = decided([entered(*one) for one in live], entered(newest) if newest else None)
    assert tuple(row and row["model_version"] for row in (held.champion, held.challenger)) == expected


@pytest.mark.slow
def test_aliases_move_and_go(make_contest):
    run = make_contest({"default": "v1"}, v1=0, v2=1)
    crown(run)
    client = MlflowClient(f"sqlite:///{run.root}/mlflow.db", f"sqlite:///{run.root}/mlflow.db")
    named = {
        alias: client.get_model_version_by_alias("tiny", alias).tags["model_version"]
        for alias in ("champion", "challenger")
    }
    assert named == {"champion": "v1", "challenger": "v2"}
    live = run.tables.read("recommendations_current").withColumn("model_version", F.lit("v2"))
    run.tables.replace(schemas.RECOMMENDATIONS_CURRENT, live.coalesce(1))
    crown(Run("publish", run.spark, run.config, run.root, "test"))
    assert client.get_registered_model("tiny").aliases.keys() == {"champion"}
    assert client.get_model_version_by_alias("tiny", "champion").tags["model_version"] == "v2"
