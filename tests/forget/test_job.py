"""A person is forgotten by the jobs: out of a small night's root, kept out of the next one, and nobody else touched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable

from recsys_spark import storage
from recsys_spark.cli import main
from recsys_spark.forget.artifacts import is_of_users
from tests.open_gates import OPEN_GATES

GONE = "zoe-29"  # the last in order: hers is the highest index
SETTINGS = {
    "run.shuffle_partitions": 2,
    "ingest.format": "mapping",
    "ingest.max_rejected_share": 0.5,
    "ingest.mapping.columns": "{user_id: who, item_id: what, event_time: at}",
    "ingest.mapping.user_columns": "{user_id: who, gender: gender}",
    "features.declared": "[{name: gender, of: user, kind: categorical, source: gender}]",
    "model.name": "matrix_factorization",
    "model.matrix_factorization.width": 4,
    "training.epochs": 1,
    "training.batch_rows": 64,
    "training.folding_items": 0,
    "examples.draws": 1,
    "examples.eval_negatives": 5,
    "recommend.n": 3,
    "publish.champion": "false",
    **OPEN_GATES,
}


def day(folder: Path, number: int, users: list[str]) -> Path:
    """A day's file: six events a user, and two rows that are rejected."""
    folder.mkdir(exist_ok=True)
    lines = ["who,what,at"]
    for place, user in enumerate(users):
        lines += [f"{user},i{(place + 5 * k + number) % 12},{1704067200 + 86400 * number + 60 * k}" for k in range(6)]
    lines += [f"{users[-1]},i1,no time", "ann-00,i1,no time"]
    (folder / f"day{number}.csv").write_text("\n".join(lines) + "\n")
    (folder / "users.txt").write_text("who,gender\n" + "".join(f"{user},{'MF'[len(user) % 2]}\n" for user in users))
    return folder / f"day{number}.csv"


def job(root: Path, file: Path, *stages: str) -> int:
    settings = {**SETTINGS, "ingest.path": file, "ingest.users_path": file.parent / "users.txt"}
    argv = ["--root", str(root), *(part for key, value in settings.items() for part in ("--set", f"{key}={value}"))]
    return main(*stages, description="test", argv=argv)


def rows(root: Path, name: str, without: str = "") -> list[str]:
    """A table's rows as text, those of one user left out."""
    found = DeltaTable(str(root / name)).to_pyarrow_table().to_pylist()
    return sorted(map(repr, (row for row in found if not without or row["user_id"] != without)))


@pytest.mark.slow
def test_a_person_is_forgotten_and_nobody_else(spark, tmp_path, capsys):
    root, users = tmp_path / "root", [*(f"ann-{n:02}" for n in range(29)), GONE]
    night = ("ingest", "index", "features", "examples", "train", "recommend", "publish")
    first = day(tmp_path / "source", 1, users)
    assert job(root, first, *night) == 0
    index = {row["user_id"]: row["user_idx"] for row in DeltaTable(str(root / "users")).to_pyarrow_table().to_pylist()}
    assert index[GONE] == 29 and GONE in "".join(rows(root, "events_rejected"))
    others = {name: rows(root, name, GONE) for name in ("events", "user_attributes", "recommendations_current")}

    models = DeltaTable(str(root / "models")).to_pyarrow_table()["path"].to_pylist()
    before = {path: {name: np.array(array) for name, array in storage.load_arrays(path).items()} for path in models}

    whom = ["--root", str(root), "--user-id", GONE]
    stranger = ["--root", str(root), "--user-id", "nobody-at-all"]
    assert main("forget", description="test", argv=stranger) == 2
    assert "nothing was changed: --user-id no. 1" in capsys.readouterr().err
    assert not (root / "suppressed").exists() and not (root / ".suppression_key").exists()
    assert main("check_forgotten", description="test", argv=whom) == 2
    said = capsys.readouterr().err
    for holder in (
        "events",
        "events_rejected",
        "users",
        "sequences",
        "user_encoded",
        "train_examples",
        "recommendations",
    ):
        assert f"table {holder}:" in said
    assert f"model {root}/artifacts/models/" in said and f"model {root}/mlflow-artifacts/" in said

    assert main("forget", description="test", argv=whom) == 0
    assert main("check_forgotten", description="test", argv=whom) == 0
    assert {name: rows(root, name) for name in others} == others
    assert_certified(root)
    for path, kept in before.items():
        arrays = storage.load_arrays(path)
        for name, array in kept.items():
            if is_of_users(name):
                array[29] = 0.0
            np.testing.assert_array_equal(arrays[name], array)
    assert all(GONE.encode() not in file.read_bytes() for file in (root / "runs").rglob("*") if file.is_file())

    # the same file again, and a later one with her and a newcomer
    assert job(root, first, "ingest") == 0
    assert {name: rows(root, name) for name in others} == others
    second = day(tmp_path / "source", 2, [*users[:20], "zzz-30", GONE])
    for stage in ("ingest", "index", "features", "recommend", "publish"):  # as one pipeline it would go on after ingest
        assert job(root, second, stage) == 0
    later = {row["user_id"]: row["user_idx"] for row in DeltaTable(str(root / "users")).to_pyarrow_table().to_pylist()}
    assert later["zzz-30"] == 30 and GONE not in later and len(later) == 31
    counts = [row for row in DeltaTable(str(root / "runs")).to_pyarrow_table().to_pylist() if row["stage"] == "ingest"]
    newest = dict(max(counts, key=lambda row: row["started_at"])["counts"])
    assert newest["suppressed"] == 8  # six events, one without a time, and her attributes
    lists = DeltaTable(str(root / "recommendations_current")).to_pyarrow_table()["user_id"].to_pylist()
    assert len(lists) == 3 * 30 and "zzz-30" in lists
    assert main("check_forgotten", description="test", argv=["--root", str(root)]) == 0
    (root / ".suppression_key").unlink()
    assert job(root, first, "ingest") == 2


def assert_certified(root: Path) -> None:
    """One certificate, one row in `forgotten`, and the runs that cannot be reproduced; none of them names her."""
    (file,) = (root / "artifacts" / "forgotten").glob("*.json")
    text = file.read_text()
    certificate = json.loads(text)
    (forgotten,) = DeltaTable(str(root / "forgotten")).to_pyarrow_table().to_pylist()
    assert GONE not in text and certificate["keyed_hash"] == [forgotten["keyed_hash"]]
    removed = {name: table["rows_removed"] for name, table in certificate["tables"].items()}
    assert removed["events"] == 6 and removed["users"] == 1 and removed["events_rejected"] == 1
    assert removed["recommendations_current"] == 3 and removed["user_encoded"] == 2 and removed["runs"] == 0
    assert dict(forgotten["removed"]) == removed
    assert sum(certificate["model_rows_blanked"].values()) == 2 * 2 * 2  # two fits, two tables, MLflow's copy
    broken = {row["stage"] for row in DeltaTable(str(root / "broken_runs")).to_pyarrow_table().to_pylist()}
    assert {"index", "features", "examples", "train", "recommend"} <= broken
    assert np.all([row["user_id"].startswith("forgotten:") for row in tombstones(root)])


def tombstones(root: Path) -> list[dict[str, object]]:
    return [row for row in DeltaTable(str(root / "users")).to_pyarrow_table().to_pylist() if row["user_idx"] == 29]
