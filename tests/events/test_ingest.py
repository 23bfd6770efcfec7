"""The whole stage: what it writes, what a second time changes, and what it refuses."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from chispa import assert_df_equality

from recsys_spark.cli import main
from recsys_spark.errors import EXIT_USER_ERROR, UserError
from recsys_spark.events import ingest
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS_REJECTED
from tests.datasets.helpers import write

MAPPING = (
    "ingest.mapping.columns={user_id: who, item_id: sku, event_time: at, event_value: paid}",
    "ingest.format=mapping",
)
HEADER = "order,who,sku,at,paid\n"
RUN_ID = "run_id"


@pytest.fixture
def ingested(make_run: Callable[..., Run]) -> Callable[..., Run]:
    """`ingested(path, ...)`: a run over a CSV of purchases (or with settings for another format), done."""

    def over(path: Path | str, *settings: str) -> Run:
        run = make_run("ingest", *MAPPING, f"ingest.path={path}", *(f"ingest.{setting}" for setting in settings))
        ingest.run(run)
        return run

    return over


def test_a_folder_comes_in_whole_and_a_second_time_adds_nothing(spark, tmp_path, ingested):
    folder = tmp_path / "ml"
    folder.mkdir()
    ratings = write(
        folder / "ratings.dat", "1::10::5::978300760\n1::11::9::978300760\n2::10::3.5::978300761\n2::11::4\n"
    )
    movies = write(folder / "movies.dat", "10::Heat (1995)::Action|Crime\n11::\n")
    write(folder / "users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n")
    settings = (
        "format=movielens", "event_type=rating", "value_max=5", "max_rejected_share=0.5", "event_id=[]",
    )  # fmt: skip
    run = ingested(folder, *settings)

    events = run.tables.read("events").orderBy("event_order").drop("event_id", RUN_ID).collect()
    assert [tuple(row) for row in events] == [
        ("1", "10", datetime(2000, 12, 31, 22, 12, 40), "rating", 5.0, 1, None, ratings),
        ("2", "10", datetime(2000, 12, 31, 22, 12, 41), "rating", 3.5, 3, None, ratings),
    ]
    newest = datetime(2000, 12, 31, 22, 12, 41)
    items = run.tables.read("item_attributes").drop(RUN_ID).collect()
    assert [tuple(row) for row in items] == [
        ("10", "Heat (1995)", "Action|Crime", None, None, 1995, None, newest),
    ]
    users = run.tables.read("user_attributes").orderBy("user_id").drop(RUN_ID, "attributes").collect()
    assert [tuple(row) for row in users] == [("1", "F", "1", newest), ("2", "M", "56", newest)]
    rejected = spark.createDataFrame(
        [
            ("1::11::9::978300760", ratings, 2, "value_out_of_range", "value '9', expected at most 5.0", run.run_id),
            ("2::11::4", ratings, 4, "malformed", "expected 4 fields between '::', found 3", run.run_id),
            ("11::", movies, 2, "malformed", "expected 3 fields between '::', found 2", run.run_id),
        ],
        EVENTS_REJECTED.schema,
    )
    assert_df_equality(
        run.tables.read("events_rejected"), rejected, ignore_row_order=True, ignore_nullable=True, ignore_metadata=True
    )
    assert run.counts == {
        "rows_read": 4, "events_appended": 2, "events_already_there": 0, "rejected_malformed": 2,
        "rejected_value_out_of_range": 1, "item_attributes": 1, "user_attributes": 2,
    }  # fmt: skip

    again = ingested(folder, *settings)
    assert again.tables.versions_written == {}
    assert again.counts == run.counts | {
        "events_appended": 0, "events_already_there": 2, "item_attributes": 0, "user_attributes": 0,
    }  # fmt: skip


def test_overlapping_exports_add_nothing_twice_and_equal_purchases_stay(tmp_path, ingested):
    twice = "7,ann,a,1714979280,1.5\n" * 2
    first = write(tmp_path / "may.csv", HEADER + twice + "8,bob,a,1714979281,\n")
    run = ingested(first)
    assert run.counts["events_appended"] == 3
    write(tmp_path / "june.csv", HEADER + "9,cem,b,1717657680,2\n8,bob,a,1714979281,\n" + twice)
    both = ingested(tmp_path / "*.csv")  # may again, and june, which overlaps
    assert both.counts["rows_read"] == 7
    assert both.counts["events_appended"] == 1
    assert both.counts["events_already_there"] == 6
    # a file that grew since it was read in this session
    write(tmp_path / "may.csv", HEADER + twice + "8,bob,a,1714979281,\n10,dan,c,1714979290,1\n")
    assert ingested(first).counts["events_appended"] == 1
    events = run.tables.spark.read.format("delta").load(run.tables.path("events"))
    assert sorted(row["user_id"] for row in events.collect()) == ["ann", "ann", "bob", "cem", "dan"]
    assert events.select("event_id").distinct().count() == 5


@pytest.mark.slow
def test_with_keys_the_same_content_is_no_news_and_other_content_is_a_duplicate(tmp_path, ingested):
    keyed = ("event_id=[order]", "max_rejected_share=0.5")
    assert ingested(write(tmp_path / "1.csv", HEADER + "7,ann,a,1714979280,1\n8,bob,a,1714979281,1\n"), *keyed).counts[
        "events_appended"
    ] == 2  # fmt: skip
    changed = HEADER + "7,ann,a,1714979280,1\n8,bob,b,1717657680,1\n9,cem,c,1717657681,1\n9,cem,c,1717657681,1\n"
    run = ingested(write(tmp_path / "2.csv", changed), *keyed)
    assert run.counts == {
        "rows_read": 4, "rejected_duplicate": 1, "events_appended": 1, "events_already_there": 2,
    }  # fmt: skip
    (bad,) = run.tables.read("events_rejected").collect()
    assert (bad["raw"], bad["line"], bad["reason"]) == ("8,bob,b,1717657680,1", 3, "duplicate")
    assert sorted(row["event_id"] for row in run.tables.read("events").collect()) == ["7", "8", "9"]
    again = ingested(tmp_path / "2.csv", *keyed)
    assert again.counts == run.counts | {"events_appended": 0, "events_already_there": 3}
    assert again.tables.versions_written == {}


@pytest.mark.slow
def test_attributes_follow_the_newest_events(tmp_path, ingested):
    columns = "mapping.item_columns={item_id: sku, price: price}"

    def price_after(name: str, time: int, price: str) -> float:
        events = write(tmp_path / f"{name}.csv", HEADER + f"7,ann,a,{time},1\n")
        items = write(tmp_path / f"{name}.items", f"sku,price\na,0\na,{price}\n")
        run = ingested(events, columns, f"items_path={items}")
        (row,) = run.tables.read("item_attributes").collect()
        return row["price"]

    assert price_after("first", 1714979280, "1.5") == 1.5
    assert price_after("later", 1714979290, "2.5") == 2.5
    assert price_after("late delivery", 1714979270, "0.5") == 2.5


def half_a_gzip(folder: Path) -> str:
    whole = gzip.compress("".join(f"{n},u{n * 7919},i,1714979280,1\n" for n in range(9000)).encode())
    path = folder / "half.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    return str(path)


def sixty_percent_bad(folder: Path) -> str:
    return write(folder / "bad.csv", HEADER + "1,ann,a,1714979280,1\n2,bob,a,1714979280,1\n" + "3,,a,-5,x\n" * 3)


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        (half_a_gzip, (), r"half\.csv\.gz: the compressed file is cut short"),
        (lambda folder: write(folder / "e.csv", ""), (), r"e\.csv: the file is empty"),
        (lambda folder: write(folder / "e.csv", HEADER), (), "no rows; expected at least one beside any header"),
        (lambda folder: write(folder / "g", bytes(range(256)) * 50), (), r"no column 'who'"),
        (lambda folder: write(folder / "g", bytes(range(256)) * 50), ("format=sequence_file",), r"of \d+ rows rejected"),
        (lambda folder: write(folder / "g", bytes(range(256)) * 50), ("mapping.file_format=json",), "malformed: 1"),
        (lambda folder: write(folder / "ratings.dat", "1,2,3,4\n" * 9), ("format=movielens",), "malformed: 9"),
        (lambda folder: write(folder / "g.parquet", b"PAR1...."), ("mapping.file_format=parquet",), "not a Parquet file"),
        (sixty_percent_bad, (), r"3 of 5 rows rejected \(60\.0%\).*\n  missing_user_id: 3\n.*bad\.csv:4: missing_user_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_before_anything_is_written(tmp_path, ingested, source, settings, message):
    with pytest.raises(UserError, match=message):
        ingested(source(tmp_path), *settings)
    assert not (tmp_path / "root").exists()


def test_a_bad_night_changes_no_table(tmp_path, ingested):
    good = write(tmp_path / "good.csv", HEADER + "1,ann,a,1714979280,1\n" * 30 + "2,,a,1714979280,1\n")
    tables = ingested(good).tables
    before = {name: tables.version(name) for name in ("events", "events_rejected")}
    with pytest.raises(UserError, match=r"60\.0%"):
        ingested(sixty_percent_bad(tmp_path))
    assert {name: tables.version(name) for name in before} == before


def test_the_job_exits_with_2_and_without_a_stack_trace(spark, tmp_path, capsys):
    root = str(tmp_path / "root")
    argv = ["--root", root, "--set", "ingest.path=/no/such/file", "--set", "run.shuffle_partitions=2"]
    assert main("ingest", description="", argv=argv) == EXIT_USER_ERROR
    error = capsys.readouterr().err
    assert error == (
        "[ingest] error: /no/such/file: nothing matches this path; check its spelling, or where the job runs\n"
    )


def test_a_new_column_is_noted_and_another_type_refused(spark, tmp_path, ingested):
    def write_orders(name, columns, *rows):
        spark.createDataFrame(rows, columns).write.parquet(str(tmp_path / name))
        return tmp_path / name

    settings = ("mapping.file_format=parquet",)
    plain = "who long, sku string, at long, paid double"
    first = ingested(write_orders("1", plain, (5, "a", 1714979280, 1.0)), *settings)
    assert first.notes == []
    second = ingested(write_orders("2", f"{plain}, shop string", (5, "b", 1714979281, 1.0, "north")), *settings)
    (note,) = second.notes
    assert note.endswith("new column `shop` (string), which is not read")
    as_number = write_orders("3", plain.replace("who long", "who double"), (5.0, "c", 1714979282, 1.0))
    with pytest.raises(UserError, match=r"column `who` is double, expected bigint as before"):
        ingested(as_number, *settings)
    assert second.tables.read("events").count() == 2
    third = ingested(as_number, *settings, "accept_type_changes=true")
    assert len(third.notes) == 1
    assert ingested(as_number, *settings).notes == []
