"""What files of a table hold, by marks; and a table whose history is dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from recsys_spark.forget.held import marks, values_of_log
from recsys_spark.schemas import USERS
from recsys_spark.suppression import keyed_hash
from recsys_spark.tables import Tables
from recsys_spark.upkeep import all_files, drop_history, older_logs

KEY = b"a key of sixteen"
CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"


def hashes(*ids: str) -> set[str]:
    return {str(keyed_hash(KEY, one)) for one in ids}


def test_marks_of_a_data_file_are_its_ids_its_indices_and_its_words(tmp_path):
    file = tmp_path / "part-0.parquet"
    rows = pa.table(
        {"user_id": ["a", "b", None], "user_idx": [7, 7, None], "raw": ["x 1", None, "y"], "item": [1, 2, 3]}
    )
    pq.write_table(rows, file)
    assert marks(str(file), ["user_id", "user_idx"], KEY) == {*hashes("a", "b"), "user_idx 7"}
    assert marks(str(file), ["raw"], KEY) == hashes("x", "1", "x 1", "y")
    assert marks(str(file), ["detail"], KEY) == set()


def test_a_file_that_a_killed_writer_left_is_no_proof_of_anything(tmp_path):
    (tmp_path / "part-0.parquet").write_bytes(b"PAR1 and then nothing")
    assert marks(str(tmp_path / "part-0.parquet"), ["user_id"], KEY) == {"unreadable"}
    (tmp_path / ".part-0.parquet.crc").write_bytes(b"crc\x00\xff")
    assert marks(str(tmp_path / ".part-0.parquet.crc"), ["user_id"], KEY) == set()


def test_the_log_holds_ids_in_statistics_and_in_conditions():
    statistics = json.dumps(
        {"numRecords": 17, "minValues": {"user_id": "a"}, "maxValues": {"user_id": "z", "item": "i"}}
    )
    commit = {"add": {"path": "p", "size": 17, "stats": statistics}}
    checksum = {"allFiles": [{"stats": json.dumps({"minValues": {"user_idx": 3}})}]}
    delete = {"commitInfo": {"operationParameters": {"predicate": '["(user_id#1 = q)"]'}}}
    slice_of = {"commitInfo": {"operationParameters": {"predicate": "as_of_date = '2024-01-17'"}}}
    text = "\n".join(map(json.dumps, (commit, checksum, delete, slice_of)))
    assert list(values_of_log(text, ["user_id", "user_idx"])) == [
        ("user_id", "a"),
        ("user_id", "z"),
        ("user_idx", 3),
        ("raw", '["(user_id#1 = q)"]'),
    ]


def test_older_logs_are_those_of_versions_before():
    names = [
        "00000000000000000001.json", ".00000000000000000001.json.crc", "00000000000000000002.crc",
        "00000000000000000002.00000000000000000003.compacted.json", "00000000000000000003.json",
        "00000000000000000003.checkpoint.parquet", "_last_checkpoint", "_sidecars/x.parquet",
    ]  # fmt: skip
    assert older_logs(names, 3) == [*names[:4], names[-1]]


def all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("vectors", [False, True])
def test_nothing_is_left_of_a_row_whose_history_is_dropped(spark, tmp_path, vectors):
    def rows(*ids: str):
        return spark.createDataFrame([(one, n, "run") for n, one in enumerate(ids)], USERS.schema).coalesce(1)

    tables = Tables(spark, str(tmp_path / "root"), "r1")
    tables.append(USERS, rows("adam", "zeta"))
    tables.append(USERS, rows("mia"))
    tables.fence(USERS, 7)
    if vectors:
        name = tables.sql_name("users")
        spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
        spark.sql(f"DELETE FROM {name} WHERE user_idx = 1")
    folder = tmp_path / "root" / "users"
    assert b"zeta" in all_bytes(folder / "_delta_log")
    gone = rows("zeta", "nobody").select("user_id")
    assert tables.delete_matching("users", gone, ["user_id"]) == (0 if vectors else 1)
    assert b"zeta" in all_bytes(folder / "_delta_log")

    left = drop_history(tables, "users")
    assert spark.conf.get(CHECK, None) is None
    files = all_files(tables, "users")
    assert all(hashes("zeta").isdisjoint(marks(file, ["user_id"], KEY)) for file in files)
    assert not [file for file in files if "unreadable" in marks(file, ["user_id"], KEY)]
    assert b"zeta" not in all_bytes(folder / "_delta_log")

    kept = {"adam", "mia"}
    assert {row["user_id"] for row in tables.read("users").collect()} == kept
    assert DeltaTable(str(folder)).version() == left
    if not vectors:  # delta-rs gives pyarrow no table that ever had them
        assert set(DeltaTable(str(folder)).to_pyarrow_table()["user_id"].to_pylist()) == kept
    tables.append(USERS, rows("new"))
    again = Tables(spark, tables.root, "r2")
    assert not again.claim(USERS, rows("late"), 6)  # the fence of before still stands
    assert {row["user_id"] for row in again.read("users").collect()} == {*kept, "new"}
    assert drop_history(again, "users") > left  # a second time, over the checkpoint of the first
    assert again.read("users").count() == 3
