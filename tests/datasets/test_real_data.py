"""The public data sets themselves, where RECSYS_TEST_DATA names a folder that has them: the counts of their makers."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from recsys_spark.events import ingest
from tests.datasets.helpers import opened, rows

pytestmark = pytest.mark.real_data


def folder(real_data, name):
    if not (real_data / name).is_dir():
        pytest.skip(f"no folder {name} in {real_data}")
    return real_data / name


def counted(events):
    row = events.agg(F.count("*"), F.countDistinct("user_id"), F.countDistinct("item_id"), F.count("fault")).head()
    return tuple(row)


def test_musical_instruments(spark, real_data):
    reviews = folder(real_data, "amazon-musical-instruments") / "Musical_Instruments_5.json.gz"
    source = opened(spark, "format=amazon", f"path={reviews}")
    assert counted(source.events) == (10_261, 1_429, 900, 0)
    assert rows(source.events.limit(1), "user_id", "item_id", "cast(event_time as string)", "event_value") == [
        ("A2IBPI20UZIR0U", "1384719342", "2014-02-28 00:00:00", 5.0)
    ]


def test_movielens_100k(spark, real_data):
    source = opened(spark, "format=movielens", f"path={folder(real_data, 'ml-100k')}")
    assert counted(source.events) == (100_000, 943, 1_682, 0)
    assert rows(source.items.limit(1), "title", "category", "year") == [
        ("Toy Story", "Animation|Children's|Comedy", 1995)
    ]


def test_video_games(spark, real_data):
    source = opened(spark, "format=sequence_file", f"path={folder(real_data, 'amazon-games') / 'Video.txt'}")
    assert counted(source.events) == (287_107, 31_013, 23_715, 0)


@pytest.mark.slow
def test_movielens_1m_from_file_to_tables(make_run, real_data):
    settings = ("ingest.format=movielens", "ingest.event_type=rating", f"ingest.path={folder(real_data, 'ml-1m')}")
    run = make_run("ingest", *settings)
    ingest.run(run)
    events = run.tables.read("events").withColumn("fault", F.lit(None))
    assert counted(events) == (1_000_209, 6_040, 3_706, 0)
    assert events.select("event_id").distinct().count() == 1_000_209
    # user 1's first line, and the line of the last
    order = events.agg(F.min_by("item_id", "event_order"), F.max("event_order")).head()
    assert tuple(order) == ("1193", 1_000_209)
    items = run.tables.read("item_attributes")
    assert items.count() == 3_883
    assert items.where(F.col("title").contains("\ufffd")).isEmpty()
    assert items.where("title like 'Misérables, Les (1995)%'").count() == 1
    assert run.tables.read("user_attributes").count() == 6_040
