"""The job on a checkerboard: even users take even items, odd users odd ones."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.runs import Run
from recsys_spark.schemas import EVAL_EXAMPLES, ITEMS, USERS, train_examples
from recsys_spark.tuning import stage

DAY = date(2024, 12, 31)
N_USERS, N_ITEMS = 12, 10
SETTINGS = (
    "examples.negatives=2", "examples.draws=1", "training.epochs=2", "training.batch_rows=16",
    "model.neumf.gmf_width=4", "model.neumf.mlp_width=4", "model.neumf.mlp_layers=[4]",
    "tune.space={training.learning_rate: {choices: [0.01, 1.0e+30]}}",
)  # fmt: skip


def write_tables(run: Run) -> None:
    """Three positives a user to train on, the fourth held out for validation and for test."""
    own = [[item for item in range(N_ITEMS) if (user + item) % 2 == 0] for user in range(N_USERS)]
    others = [[item for item in range(N_ITEMS) if (user + item) % 2] for user in range(N_USERS)]
    rows = [
        (DAY, "evaluate", 0, u, i, 1.0, float("nan"), None, *others[u][:2]) for u in range(N_USERS) for i in own[u][:3]
    ]
    held_out = [
        (DAY, part, u, [own[u][3]], [1.0], others[u]) for part in ("validation", "test") for u in range(N_USERS)
    ]
    for table, content in (
        (USERS, [(f"u{n}", n, "test") for n in range(N_USERS)]),
        (ITEMS, [(f"i{n}", n, "test") for n in range(N_ITEMS)]),
        (train_examples(2), rows),
        (EVAL_EXAMPLES, held_out),
    ):
        run.tables.append(table, run.spark.createDataFrame(content, table.schema).coalesce(1))


def trials(root: Path) -> list[dict[str, object]]:
    rows = DeltaTable(str(root / "tune_trials")).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: row["trial"])


def children(root: Path, parent: str) -> list[str]:
    """The names of the runs in MLflow below the one of that name, all of one experiment."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    (of,) = [one.info.run_id for one in runs if one.info.run_name == parent]
    return sorted(one.info.run_name for one in runs if one.data.tags.get("mlflow.parentRunId") == of)


@pytest.mark.slow
def test_trials_are_rows_the_best_is_a_file_and_test_is_never_read(make_run, tmp_path):
    root = tmp_path / "root"
    write_tables(make_run("examples", *SETTINGS))
    shutil.rmtree(root / "eval_examples" / f"as_of_date={DAY}" / "part=test")  # reading it would fail

    first = make_run("tune", *SETTINGS, "tune.trials=1", as_of=str(DAY))
    stage.run(first)
    again = make_run("tune", *SETTINGS, "tune.trials=6", as_of=str(DAY))
    stage.run(again)

    rows = trials(root)
    assert [row["trial"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row["run_id"] for row in rows] == [first.run_id] + [again.run_id] * 5
    assert {row["study"] for row in rows} == {path.stem for path in (root / "artifacts" / "tuning").glob("*.yaml")}
    of_rate = {dict(row["settings"])["training.learning_rate"]: row for row in rows}
    failed, done = of_rate["1e+30"], of_rate["0.01"]
    assert (failed["status"], failed["value"]) == ("failed", None) and "not finite" in failed["error"]
    assert done["status"] == "done" and done["epochs"] == 2 and 0 < done["value"] <= 1
    (best,) = (root / "artifacts" / "tuning").glob("*.yaml")
    assert load_config([best]).training.learning_rate == 0.01
    assert again.counts == {"trials": 6, "failed": sum(row["status"] == "failed" for row in rows)}
    assert not list((root / "artifacts" / "checkpoints").glob("*"))
    assert not (root / "models").exists()
    assert children(root, rows[0]["study"]) == [f"trial {number}" for number in range(6)]


@pytest.mark.slow
def test_without_a_validation_part_there_is_nothing_to_tune_on(make_run, tmp_path):
    write_tables(make_run("examples", *SETTINGS))
    run = make_run("tune", *SETTINGS, as_of=str(DAY))
    run.tables.replace(EVAL_EXAMPLES, run.tables.read("eval_examples").where("part = 'test'"))
    with pytest.raises(UserError, match="no validation part"):
        stage.run(run)
    assert not (tmp_path / "root" / "tune.db").exists()
