"""What the views say of rows written by hand, in DuckDB; that they and the page's queries hold in Spark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark.config import load_config
from recsys_spark.schemas import TABLES, train_examples
from recsys_spark.tables import Tables
from recsys_spark.views import VIEWS, reason_in_words, register_views, view_query

PAGE = Path(__file__).parent.parent / "docs" / "tables.md"
OLD, NEW = date(2024, 1, 30), date(2024, 2, 2)


def row(rank, item, code, reason_item=None, as_of=NEW):
    said = {"as_of_date": as_of, "variant": "default", "user_id": "1", "rank": rank, "item_id": item, "score": 1.0}
    return {**said, "reason_code": code, "reason_item_id": reason_item, "model_version": "neumf-1", "run_id": "r1"}


LISTS = [
    row(1, "milk", "co_occurrence", "tea"),
    row(2, "tea", "repeat", "tea"),
    row(3, "jam", "model"),
    row(4, "rye", "co_occurrence", "untitled"),
    row(5, "oat", "invented"),
]
ROWS = {
    "recommendations_current": LISTS,
    "recommendations": [*LISTS, row(1, "jam", "popular", as_of=OLD)],
    "item_attributes": [{"item_id": "milk", "title": "Whole Milk"}, {"item_id": "tea", "title": "Earl Grey"}],
    "models": [
        {"model_version": "neumf-1", "model_name": "neumf", "evaluated_by": "neumf-0"},
        {"model_version": "neumf-0", "model_name": "neumf", "validation_ndcg": 0.25},
    ],
    "runs": [{"run_id": "r1", "stage": "recommend", "code_version": "0.1.0"}],
    "assignments": [{"experiment": "e", "layer": "lists", "variant": "default", "user_id": "1"}],
}


@pytest.fixture(scope="module")
def shop() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    for name, rows in ROWS.items():
        schema = to_arrow_schema(TABLES[name].schema)
        full = [{**dict.fromkeys(schema.names), **one} for one in rows]
        connection.register(name, pa.Table.from_pylist(full, schema=schema))
    for view in VIEWS.values():
        connection.execute(f"CREATE TEMP VIEW {view.name} AS {view_query(view, str)}")
    yield connection
    connection.close()


def test_the_current_list_has_titles_and_the_reason_in_words(shop):
    assert shop.sql("SELECT rank, title, reason FROM current_recommendations ORDER BY rank").fetchall() == [
        (1, "Whole Milk", "because you had Earl Grey"),
        (2, "Earl Grey", "had before, and likely again"),
        (3, None, "predicted for this user"),
        (4, None, "because you had untitled"),
        (5, None, "invented"),
    ]


def test_the_list_of_an_assigned_variant_names_its_experiment(shop):
    rows = shop.sql("SELECT DISTINCT experiment, variant, user_id FROM assigned_recommendations").fetchall()
    assert rows == [("e", "default", "1")]


def test_words_of_a_new_code_appear_by_themselves():
    expression = reason_in_words({"new_items": "what's new"})
    rows = "(SELECT 'new_items' AS reason_code, 'a' AS item_id, NULL AS reason_item_id) AS r, (SELECT '' AS title) AS because"
    assert duckdb.sql(f"SELECT {expression} FROM {rows}").fetchall() == [("what's new",)]


@pytest.mark.parametrize(
    ("day", "items"), [("2024-01-29", 0), ("2024-01-30", 1), ("2024-02-01", 1), ("2024-02-02", 5), ("2031-01-01", 5)]
)
def test_the_list_as_of_a_day_is_the_latest_until_then(shop, day, items):
    query = f"SELECT COUNT(*) FROM recommendations_as_of WHERE DATE '{day}' BETWEEN as_of_date AND until_date"
    assert shop.sql(query).fetchall() == [(items,)]


def test_why_names_the_model_that_vouches_and_the_run(shop):
    query = (
        "SELECT reason, model_name, validation_ndcg, code_version FROM why WHERE as_of_date = '2024-02-02' AND rank = 3"
    )
    assert shop.sql(query).fetchall() == [("predicted for this user", "neumf", 0.25, "0.1.0")]
    assert shop.sql("SELECT COUNT(*) FROM why").fetchall() == [(6,)]


@pytest.mark.slow
def test_the_queries_of_the_page_hold_in_spark(spark):
    queries = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names = [*TABLES, *VIEWS]
    for table in (*TABLES.values(), train_examples(load_config().examples.negatives)):
        spark.createDataFrame([], table.schema).createOrReplaceTempView(table.name)
    try:
        for query in queries:
            spark.sql(query.replace("REPLACE VIEW", "REPLACE TEMP VIEW")).collect()
    finally:
        for name in names:
            spark.catalog.dropTempView(name)
    assert len(queries) == len(TABLES) + 2 * len(VIEWS)


@pytest.mark.slow
def test_views_are_registered_in_a_catalogue_and_given_as_text_over_paths(spark, tmp_path):
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS views_shop LOCATION '{tmp_path / 'shop'}'")
    try:
        tables = Tables(spark, "spark_catalog.views_shop")
        for _ in range(2):  # a second time replaces them
            assert list(register_views(tables)) == list(VIEWS)
        assert spark.sql("SELECT reason FROM spark_catalog.views_shop.current_recommendations").collect() == []
    finally:
        spark.sql("DROP SCHEMA views_shop CASCADE")
    at_path = Tables(spark, str(tmp_path / "root"))
    queries = register_views(at_path)
    assert not (tmp_path / "root").exists()
    for name in {table for view in VIEWS.values() for table in view.tables()}:
        at_path.ensure(TABLES[name])
    assert f"delta.`{tmp_path}/root/recommendations`" in queries["why"]
    for query in queries.values():
        assert spark.sql(query).collect() == []
