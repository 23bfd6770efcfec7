from __future__ import annotations

import pytest

from recsys_spark.errors import UserError
from tests.datasets.helpers import opened, rows, write

EVENT = ("user_id", "item_id", "cast(event_time as string)", "event_value", "fault")


def test_five_core_reviews_are_json_lines(spark, tmp_path):
    path = write(
        tmp_path / "reviews_5.json.gz",
        '{"reviewerID": "A2IBPI20UZIR0U", "asin": "1384719342", "reviewerName": "cassandra \\"Yeah\\"", '
        '"helpful": [0, 0], "overall": 5.0, "unixReviewTime": 1393545600, "reviewTime": "02 28, 2014"}\n'
        '{"reviewerID": "A14VAT5EAX3D9S", "asin": "13847193\n',
    )
    events = opened(spark, "format=amazon", f"path={path}").events
    assert rows(events, *EVENT) == [
        ("A2IBPI20UZIR0U", "1384719342", "2014-02-28 00:00:00", 5.0, None),
        (None, None, None, None, "expected one JSON object"),
    ]


def test_ratings_only_csv_has_no_header(spark, tmp_path):
    path = write(tmp_path / "ratings_Electronics.csv", "AKM1MP6P0OYPR,0132793040,5.0,1365811200\nA1,B2,4.0\n")
    events = opened(spark, "format=amazon", f"path={path}").events
    assert rows(events, *EVENT) == [
        ("AKM1MP6P0OYPR", "0132793040", "2013-04-13 00:00:00", 5.0, None),
        ("A1", "B2", None, 4.0, "expected 4 CSV fields between ','"),
    ]


def test_product_metadata_of_both_releases(spark, tmp_path):
    reviews = write(tmp_path / "r.csv", "U,I,5.0,1365811200\n")
    items = write(
        tmp_path / "meta.json",
        # 2014: Python's quotes, a list of paths, a number for the price
        "{'asin': '0132793040', 'title': 'Kelby Training DVD: Mastering \"Blend\"', 'price': 62.95, 'brand': 'Kelby', "
        "'categories': [['Electronics', 'Cameras'], ['Electronics', 'Video']], 'description': 'It\\'s new'}\n"
        # 2018: JSON, one path, text for the price
        '{"asin": "B01", "title": "Cable", "category": ["Electronics", "Cables"], "price": "$1,012.99", "brand": ""}\n'
        '{"asin": "B02", "main_cat": "All Electronics", "price": ".a-box-inner{background-color:#fff}"}\n',
    )
    source = opened(spark, "format=amazon", f"path={reviews}", f"items_path={items}")
    assert rows(source.items, "item_id", "title", "category", "brand", "price", "attributes", "fault") == [
        (
            "0132793040",
            'Kelby Training DVD: Mastering "Blend"',
            "Electronics|Cameras|Video",
            "Kelby",
            62.95,
            None,
            None,
        ),
        ("B01", "Cable", "Electronics|Cables", None, 1012.99, None, None),
        ("B02", None, "All Electronics", None, None, {"main_cat": "All Electronics"}, None),
    ]


def test_json_and_csv_are_not_read_at_once(spark, tmp_path):
    write(tmp_path / "a.json", '{"asin": "1"}\n')
    write(tmp_path / "b.csv", "U,I,5.0,1365811200\n")
    with pytest.raises(UserError, match="both JSON and CSV"):
        opened(spark, "format=amazon", f"path={tmp_path}")
