from __future__ import annotations

from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.events.reading import reading
from recsys_spark.spark_errors import explained
from tests.datasets.helpers import opened, rows, write

EVENT = ("user_id", "item_id", "cast(event_time as string)", "event_type", "event_value", "event_id", "context")
COLUMNS = "mapping.columns={user_id: who, item_id: sku, event_time: at, event_type: what, event_value: paid}"


def test_csv_with_other_names_quotes_and_a_written_time(spark, tmp_path):
    path = write(
        tmp_path / "orders.csv",
        "\ufefforder,who,sku,at,what,paid,shop\n"
        '7,ann,"a;1",06.05.2024 07:08,buy,1.5,north\n'
        "8, bob ,b,06.05.2024 07:09,,,\n"
        "9,cem,c,2024-05-06,buy,x,south\n",
    )
    source = opened(
        spark, f"path={path}", COLUMNS, "mapping.context=[shop]", "mapping.time_unit=format",
        "mapping.time_format=dd.MM.yyyy HH:mm", "event_type=event", "event_id=[order]",
    )  # fmt: skip
    assert source.keyed
    assert rows(source.events, *EVENT) == [
        ("ann", "a;1", "2024-05-06 07:08:00", "buy", 1.5, "7", {"shop": "north"}),
        ("bob", "b", "2024-05-06 07:09:00", "event", None, "8", None),
        ("cem", "c", None, "buy", None, "9", {"shop": "south"}),
    ]
    assert rows(source.events, "time_text", "value_text")[2] == ("2024-05-06", "x")


def test_csv_without_header_and_with_a_long_delimiter(spark, tmp_path):
    path = write(tmp_path / "e.txt", "1::9::1714979280000\n2::8::1714979280001::x\n")
    events = opened(
        spark, f"path={path}", "mapping.columns={user_id: 0, item_id: 1, event_time: 2}", "mapping.header=false",
        "mapping.delimiter='::'", "mapping.time_unit=ms",
    ).events  # fmt: skip
    assert rows(events, "user_id", "item_id", "cast(event_time as string)", "fault") == [
        ("1", "9", "2024-05-06 07:08:00", None),
        ("2", "8", "2024-05-06 07:08:00.001", "expected 3 CSV fields between '::'"),
    ]


def test_json_lines_with_nested_columns_and_a_key_of_two(spark, tmp_path):
    path = write(
        tmp_path / "e.json",
        '{"user": {"id": 5}, "sku": "a", "at": 1714979280, "order": 1, "pos": 2}\n'
        '{"user": {"id": 6}, "sku": "b", "at": 1714979281, "order": 1}\n'
        "oops\n",
    )
    events = opened(
        spark, f"path={path}", "mapping.columns={user_id: user.id, item_id: sku, event_time: at}",
        "mapping.file_format=json", "event_id=[order, pos]",
    ).events  # fmt: skip
    assert rows(events, "user_id", "cast(event_time as string)", "event_id", "fault") == [
        ("5", "2024-05-06 07:08:00", '["1","2"]', None),
        ("6", "2024-05-06 07:08:01", None, None),
        (None, None, None, "expected one JSON object"),
    ]


def test_parquet_with_typed_columns_and_a_struct(spark, tmp_path):
    table = pd.DataFrame(
        {"who": [5, 6], "at": [datetime(2024, 5, 6, 7, 8), None], "item": [{"sku": "a"}, {"sku": "b"}], "more": [1, 2]}
    )
    pq.write_table(pa.Table.from_pandas(table), tmp_path / "e.parquet", coerce_timestamps="us")
    events = opened(
        spark, f"path={tmp_path}", "mapping.columns={user_id: who, item_id: item.sku, event_time: at}",
        "mapping.file_format=parquet",
    ).events  # fmt: skip
    assert rows(events, "user_id", "item_id", "cast(event_time as string)", "line", "raw") == [
        ("5", "a", "2024-05-06 07:08:00", 1, '{"who":5,"item":{"sku":"a"},"at":"2024-05-06T07:08:00.000"}'),
        ("6", "b", None, 2, '{"who":6,"item":{"sku":"b"}}'),
    ]


def test_parquet_nanoseconds_are_asked_for_by_their_unit(spark, tmp_path):
    at = pa.array([1714979280123456789], pa.timestamp("ns"))
    pq.write_table(pa.table({"who": ["5"], "sku": ["a"], "at": at}), tmp_path / "e.parquet", version="2.6")
    settings = [
        f"ingest.path={tmp_path}", "ingest.mapping.columns={user_id: who, item_id: sku, event_time: at}",
        "ingest.mapping.file_format=parquet",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"nanoseconds; set ingest\.mapping\.time_unit=ns"):
        opened(spark, *[setting.removeprefix("ingest.") for setting in settings])
    config = load_config(settings=[*settings, "ingest.mapping.time_unit=ns"]).ingest
    with reading(spark, config):
        events = opened(spark, *[s.removeprefix("ingest.") for s in settings], "mapping.time_unit=ns").events
        assert rows(events, "cast(event_time as string)") == [("2024-05-06 07:08:00.123456",)]


def test_a_parquet_file_with_another_type_than_the_others_is_named(spark, tmp_path):
    for name, who in (("a", ["5"]), ("b", [6])):
        pq.write_table(pa.table({"who": who, "sku": ["x"], "at": ["2024-05-06"]}), tmp_path / f"{name}.parquet")
    columns = "mapping.columns={user_id: who, item_id: sku, event_time: at}"
    match = r"[ab]\.parquet: a column has another type here than in the other files"
    with pytest.raises(UserError, match=match), explained("input"):
        opened(spark, f"path={tmp_path}", columns, "mapping.file_format=parquet").events.collect()


def test_a_delta_table_is_one_source_whose_rows_have_no_lines(spark, tmp_path):
    path = str(tmp_path / "lake" / "orders")
    table = spark.createDataFrame([(5, "a", 1714979280), (6, "b", 1714979281)], "who long, sku string, at long")
    table.repartition(2).write.format("delta").save(path)
    events = opened(
        spark, f"path={path}", "mapping.columns={user_id: who, item_id: sku, event_time: at}",
        "mapping.file_format=delta",
    ).events  # fmt: skip
    found = events.orderBy("user_id").select("user_id", "item_id", "line", "source").collect()
    assert [tuple(row) for row in found] == [("5", "a", None, path), ("6", "b", None, path)]
    assert sorted(row["event_order"] for row in events.select("event_order").collect()) == [1, 2]


def test_attributes_by_mapping_keep_further_columns(spark, tmp_path):
    events = write(tmp_path / "e.csv", "user_id,item_id,event_time\n5,a,1714979280\n")
    items = write(tmp_path / "i.csv", "sku,name,price,hue\na,Apple,1.25,red\nb,Pear,?,\n")
    users = write(tmp_path / "u.csv", "id,band,land\n5,30-39,AT\n")
    source = opened(
        spark, f"path={events}", f"items_path={items}", f"users_path={users}",
        "mapping.item_columns={item_id: sku, title: name, price: price, colour: hue}",
        "mapping.user_columns={user_id: id, age: band, country: land}",
    )  # fmt: skip
    assert rows(source.items, "item_id", "title", "price", "attributes") == [
        ("a", "Apple", 1.25, {"colour": "red"}),
        ("b", "Pear", None, None),
    ]
    assert rows(source.users, "user_id", "age", "attributes") == [("5", "30-39", {"country": "AT"})]


@pytest.mark.parametrize("file_format", ["csv", "json", "parquet"])
def test_a_missing_column_is_named_with_the_nearest(spark, tmp_path, file_format):
    table = pd.DataFrame({"user": ["5"], "item_id": ["a"], "event_time": [1]})
    if file_format == "csv":
        table.to_csv(tmp_path / "e", index=False)
    elif file_format == "json":
        table.to_json(tmp_path / "e", orient="records", lines=True)
    else:
        table.to_parquet(tmp_path / "e")
    with pytest.raises(UserError, match=r"no column 'user_id'; did you mean 'user'\? its columns are .*'event_time'"):
        opened(spark, f"path={tmp_path / 'e'}", f"mapping.file_format={file_format}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["path=''"], r"ingest\.path is empty; name the mapping files"),
        (["path=/no/such/file.csv"], r"/no/such/file\.csv: nothing matches this path"),
        (["path=/no/such/*.csv"], r"/no/such/\*\.csv: nothing matches this path"),
        (["path=/no/table", "mapping.file_format=delta"], "no Delta table here"),
        (["path=x", "mapping.columns={user_id: a}"], r"ingest\.mapping\.columns lacks item_id, event_time"),
        (
            ["path=x", "mapping.time_unit=format", "mapping.time_format=bogus {"],
            r"time_format: 'bogus \{' is no pattern",
        ),
    ],
)
def test_mistakes_in_the_configuration_say_what_to_do(spark, settings, message):
    with pytest.raises(UserError, match=message):
        opened(spark, *settings)


@pytest.mark.parametrize(("encoding", "message"), [("utf-16", "convert the file to UTF-8"), ("wtf-8", "is not known")])
def test_encodings_that_cannot_be_read(spark, tmp_path, encoding, message):
    path = write(tmp_path / "e.csv", "user_id,item_id,event_time\n")
    with pytest.raises(UserError, match=message):
        opened(spark, f"path={path}", f"mapping.encoding={encoding}")


def test_files_with_different_headers_are_not_mixed(spark, tmp_path):
    write(tmp_path / "1.csv", "user_id,item_id,event_time\n5,a,1\n")
    write(tmp_path / "2.csv", "item_id,user_id,event_time\na,5,1\n")
    with pytest.raises(UserError, match="have different headers"):
        opened(spark, f"path={tmp_path}")
