from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import functions as F

from recsys_spark.errors import MissingTableError, SchemaError, UserError
from recsys_spark.schemas import EVAL_EXAMPLES, MODELS, USERS, train_examples
from recsys_spark.tables import Tables, read_outside

DAY = date(2024, 1, 31)


@pytest.fixture
def tables(spark, tmp_path):
    return Tables(spark, str(tmp_path / "root"), "run")


def users(spark, *rows):
    return spark.createDataFrame([(name, idx, "run") for name, idx in rows], USERS.schema)


def held_out(spark, part, *rows):
    return spark.createDataFrame([(DAY, part, user, [1], [None], [2]) for user in rows], EVAL_EXAMPLES.schema)


def test_a_missing_table_names_the_job_that_makes_it(tables):
    with pytest.raises(MissingTableError, match=r"`interactions` does not exist.*run jobs/index\.py first"):
        tables.read("interactions")


def test_reads_are_pinned_and_writes_move_the_pin(spark, tables):
    tables.append(USERS, users(spark, ("a", 0)))
    other = Tables(spark, tables.root, "other")
    assert other.read("users").count() == 1
    assert tables.append(USERS, users(spark, ("b", 1))) == 1
    assert other.read("users").count() == 1
    assert tables.read("users").count() == 2
    assert tables.versions_written["users"] == other.versions_read["users"] + 1


def test_a_slice_is_replaced_alone_and_twice_is_once(spark, tables):
    where = {"as_of_date": DAY, "part": "test"}
    for _ in range(2):
        assert tables.replace(EVAL_EXAMPLES, held_out(spark, "test", 1, 2), where) == 2
        tables.replace(EVAL_EXAMPLES, held_out(spark, "validation", 3), {**where, "part": "validation"})
    tables.replace(EVAL_EXAMPLES, held_out(spark, "test", 5), where)
    rows = tables.read("eval_examples").select("part", "user_idx").collect()
    assert sorted(map(tuple, rows)) == [("test", 5), ("validation", 3)]
    assert tables.read_slice("eval_examples", where).count() == 1
    with pytest.raises(MissingTableError, match=r"no rows for as_of_date=2030-01-01.*jobs/examples\.py"):
        tables.read_slice("eval_examples", {"as_of_date": date(2030, 1, 1)})


@pytest.mark.slow
def test_tables_of_sparks_own_catalogue(spark, tmp_path):
    spark.sql(f"CREATE SCHEMA tables_shop LOCATION '{tmp_path / 'shop'}'")
    try:
        tables = Tables(spark, "spark_catalog.tables_shop", "run", examples_root=str(tmp_path / "examples"))
        assert not tables.exists("users")
        tables.append(USERS, users(spark, ("a", 0), ("b", 1)))
        assert tables.delete_matching("users", users(spark, ("a", 7)), ["user_id"]) == 1
        where = {"as_of_date": DAY, "part": "test"}
        for row in (1, 2):
            assert tables.replace(EVAL_EXAMPLES, held_out(spark, "test", row), where) == 1
        other = Tables(spark, "spark_catalog.tables_shop")
        assert [row["user_id"] for row in other.read("users").collect()] == ["b"]
        assert [row["user_idx"] for row in other.read_slice("eval_examples", where).collect()] == [2]
        files = other.live_files("eval_examples", where)
        assert [file.rows for file in files] == [1] and str(tmp_path / "shop") not in tables.path("eval_examples")
        assert spark.sql("SELECT user_idx FROM spark_catalog.tables_shop.users").collect() == [(1,)]
        outside = read_outside(spark, "spark_catalog.tables_shop.users", "here")
        assert outside.count() == 1
    finally:
        spark.sql("DROP SCHEMA tables_shop CASCADE")


def test_rows_outside_the_slice_are_refused_and_nothing_changes(spark, tables):
    tables.replace(EVAL_EXAMPLES, held_out(spark, "test", 1), {"as_of_date": DAY, "part": "test"})
    with pytest.raises(Exception, match=r"(?i)replacewhere|constraint"):
        tables.replace(EVAL_EXAMPLES, held_out(spark, "validation", 9), {"as_of_date": DAY, "part": "test"})
    assert [r[0] for r in Tables(spark, tables.root).read("eval_examples").select("user_idx").collect()] == [1]


def test_a_frame_of_another_schema_says_what_came(spark, tables):
    frame = users(spark, ("a", 0)).withColumn("user_idx", F.col("user_idx").cast("long")).drop("run_id")
    with pytest.raises(
        SchemaError, match=r"users: `user_idx`: expected int, got bigint; `run_id`: expected string, missing"
    ):
        tables.append(USERS, frame)


def test_upserts_keep_the_latest(spark, tables):
    def model(version, epochs, minute):
        row = (version, "neumf", DAY, "evaluate", "p", None, None, epochs, None, "h", None, "run")
        made = F.timestamp_seconds(F.lit(60 * minute))
        return spark.createDataFrame([row], MODELS.schema).withColumn("created_at", made)

    assert tables.upsert_latest(MODELS, model("a", 1, 1), "created_at") == 1
    assert tables.upsert_latest(MODELS, model("a", 2, 2), "created_at") == 1
    assert tables.upsert_latest(MODELS, model("a", 9, 0), "created_at") == 0
    tables.upsert_latest(MODELS, model("b", 3, 1), "created_at")
    assert sorted((r["model_version"], r["epochs"]) for r in tables.read("models").collect()) == [("a", 2), ("b", 3)]


def examples(spark, rows, fit="evaluate"):
    made = spark.range(rows).selectExpr(
        "int(id) user_idx",
        "int(id) item_idx",
        "float(1) value",
        "float(NULL) converted",
        "cast(NULL as binary) context",
        "0 negative_1",
        "0 draw",
    )
    return made.withColumn("as_of_date", F.lit(DAY)).withColumn("fit", F.lit(fit)).repartition(2)


def test_live_files_are_those_of_the_pinned_version_with_the_logs_counts(spark, tables):
    table, where = train_examples(1), {"as_of_date": DAY, "fit": "evaluate"}
    tables.replace(table, examples(spark, 10), where)
    tables.replace(table, examples(spark, 30), where)
    tables.replace(table, examples(spark, 7, "production"), {**where, "fit": "production"})
    files = tables.live_files("train_examples", {**where, "draw": 0})
    assert len(files) == 2 and sum(file.rows for file in files) == 30
    assert spark.read.parquet(*[file.url for file in files]).count() == 30
    with pytest.raises(MissingTableError, match="draw=3"):
        tables.live_files("train_examples", {**where, "draw": 3})
    with pytest.raises(ValueError, match="`users` is not declared with read_as_files"):
        tables.live_files("users", {})


def test_deletion_vectors_are_refused(spark, tables):
    where = {"as_of_date": DAY, "fit": "evaluate"}
    tables.replace(train_examples(1), examples(spark, 30), where)
    path = f"delta.`{tables.path('train_examples')}`"
    spark.sql(f"ALTER TABLE {path} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"DELETE FROM {path} WHERE user_idx = 3")
    with pytest.raises(UserError, match=r"deletion vectors.*run jobs/examples\.py"):
        Tables(spark, tables.root).live_files("train_examples", where)


def test_more_negatives_add_columns(spark, tables):
    where = {"as_of_date": DAY, "fit": "evaluate"}
    tables.replace(train_examples(1), examples(spark, 4), where)
    wider = examples(spark, 4).withColumn("negative_2", F.lit(5))
    tables.replace(train_examples(2), wider, where)
    assert [r["negative_2"] for r in tables.read("train_examples").collect()] == [5] * 4


def test_a_relative_root_is_below_the_working_folder(spark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = Tables(spark, ".data/root")
    tables.append(USERS, users(spark, ("a", 0)))
    assert tables.root == str(tmp_path / ".data/root") and (tmp_path / ".data/root/users/_delta_log").is_dir()
    assert not Tables(spark, "main.shop").root.startswith("/")


def test_a_table_of_an_older_version_reads_new_columns_as_null_and_gets_them_when_written(spark, tables):
    older = users(spark, ("a", 0)).drop("run_id")
    older.write.format("delta").save(tables.path("users"))
    assert [tuple(row) for row in tables.read("users").select("user_id", "run_id").collect()] == [("a", None)]
    tables.append(USERS, users(spark, ("b", 1)))
    assert sorted(tuple(row) for row in tables.read("users").collect()) == [("a", 0, None), ("b", 1, "run")]


def test_a_merge_adds_new_columns_too(spark, tables):
    row = ("a", "neumf", DAY, "evaluate", "p", None, None, 1, None, "h", None, "run")
    made = spark.createDataFrame([row], MODELS.schema).withColumn("created_at", F.timestamp_seconds(F.lit(60)))
    made.drop("epochs").write.format("delta").save(tables.path("models"))
    assert tables.upsert_latest(MODELS, made.withColumn("epochs", F.lit(7)), "created_at") == 1
    assert [row["epochs"] for row in tables.read("models").collect()] == [7]


def test_a_column_of_another_type_in_a_table_is_refused(spark, tables):
    users(spark, ("a", 0)).withColumn("user_idx", F.lit("0")).write.format("delta").save(tables.path("users"))
    message = r"table `users` under .*: column `user_idx` is string, expected int: .*jobs/index\.py again"
    with pytest.raises(SchemaError, match=message):
        tables.read("users")
    with pytest.raises(SchemaError, match=message):
        tables.append(USERS, users(spark, ("b", 1)))


def test_a_table_of_others_may_be_called_like_ours(spark, tmp_path):
    spark.range(2).write.format("delta").save(str(tmp_path / "users"))
    assert read_outside(spark, str(tmp_path / "users"), "a setting").columns == ["id"]
