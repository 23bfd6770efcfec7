from __future__ import annotations

from datetime import datetime

from recsys_spark.events.attributes import changed, latest_by_id
from recsys_spark.schemas import ITEM_ATTRIBUTES, USER_ATTRIBUTES

DRAFT = (
    "source string, line long, raw string, item_id string, title string, category string, brand string, price double, "
    "year int, attributes map<string,string>, reason string, detail string"
)
WHEN = datetime(2024, 5, 6)
SECONDS = 1_714_953_600


def test_the_last_line_about_an_id_wins(spark):
    drafts = spark.createDataFrame(
        [
            ("a", 2, None, "x", "New", None, None, 2.5, 1999, {"hue": "red"}, None, None),
            ("a", 1, None, "x", "Old", "c", "b", 1.5, 1998, None, None, None),
            ("b", 1, None, "y", None, None, None, None, None, None, None, None),
            ("a", 9, None, "y", "Y", None, None, None, None, None, None, None),
        ],
        DRAFT,
    )
    found = drafts.transform(latest_by_id(ITEM_ATTRIBUTES, SECONDS * 1_000_000, "r"))
    assert found.columns == ITEM_ATTRIBUTES.schema.names
    assert [tuple(row) for row in found.orderBy("item_id").collect()] == [
        ("x", "New", None, None, 2.5, 1999, {"hue": "red"}, WHEN, "r"),
        ("y", None, None, None, None, None, None, WHEN, "r"),
    ]


def test_only_what_changed_is_written(spark):
    stored = spark.createDataFrame(
        [
            ("u", "F", None, {"a": "1", "b": "2"}, WHEN, "old"),
            ("v", "F", None, None, WHEN, "old"),
            ("w", None, None, None, WHEN, "old"),
        ],
        USER_ATTRIBUTES.schema,
    )
    news = spark.createDataFrame(
        [
            ("u", "F", None, {"b": "2", "a": "1"}, WHEN, "new"),
            ("v", None, "F", None, WHEN, "new"),
            ("w", None, None, None, datetime(2024, 5, 7), "new"),
            ("x", None, None, None, WHEN, "new"),
        ],
        USER_ATTRIBUTES.schema,
    )
    found = news.transform(changed(USER_ATTRIBUTES, stored)).orderBy("user_id").collect()
    assert [row["user_id"] for row in found] == ["v", "w", "x"]
