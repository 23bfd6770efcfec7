from __future__ import annotations

import gzip

import pytest
from pyspark.sql import functions as F

from recsys_spark.errors import UserError
from recsys_spark.events.lines import read_lines
from tests.datasets.helpers import rows, write


@pytest.fixture
def small_blocks(spark):
    """Files are cut every 64 bytes, so that a few lines make many blocks, several of them in one task."""
    settings = {"spark.sql.files.maxPartitionBytes": "64", "spark.sql.files.openCostInBytes": "1"}
    before = {key: spark.conf.get(key) for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    yield
    for key, value in before.items():
        spark.conf.set(key, value)


def test_line_numbers_are_exact_in_however_many_blocks(spark, tmp_path, small_blocks):
    # lines of very different lengths: blocks without a line's start, and blocks with many
    texts = {
        "a b+%20.txt": [f"line {n} " + "x" * (n * 37 % 150) for n in range(1, 40)],
        "b.txt.gz": [f"line {n}" for n in range(1, 20)],
        "c.txt": [f"line {n}" for n in range(1, 60)],
    }
    for name, lines in texts.items():
        write(tmp_path / name, "\n".join(lines) + "\n")
    found = read_lines(spark, [str(tmp_path)])
    assert found.rows.rdd.getNumPartitions() > 20
    said = F.regexp_extract("raw", r"line (\d+)", 1).cast("long")
    checked = found.rows.groupBy("source").agg(
        F.count("*").alias("lines"), F.sum((said == F.col("line")).cast("int")).alias("right")
    )
    assert {tuple(row) for row in checked.collect()} == {
        (str(tmp_path / "a b+%20.txt"), 39, 39),
        (str(tmp_path / "b.txt.gz"), 19, 19),
        (str(tmp_path / "c.txt"), 59, 59),
    }
    assert found.heads == {str(tmp_path / name): lines[0] for name, lines in texts.items()}


def test_blank_lines_count_but_are_no_rows_and_line_ends_are_any(spark, tmp_path):
    path = write(tmp_path / "e.txt", "\ufeffone\r\n\r\n   \nfour\nfive")
    found = read_lines(spark, [path])
    assert rows(found.rows, "line", "raw") == [
        (1, "one"), (4, "four"), (5, "five"),
    ]  # fmt: skip
    assert found.heads == {path: "one"}


def test_text_is_decoded_line_by_line(spark, tmp_path):
    path = write(tmp_path / "e.txt", "Ünder\n".encode() + "Ünder\n".encode("latin-1") + b"\xff\x00\n")
    assert rows(read_lines(spark, [path], "UTF-8", "ISO-8859-1").rows, "raw") == [("Ünder",), ("Ünder",), ("ÿ\x00",)]
    assert rows(read_lines(spark, [path]).rows, "raw")[1] == ("\ufffdnder",)
    other = write(tmp_path / "f.txt", "Größe;x\n".encode("windows-1252"))
    assert read_lines(spark, [other], "windows-1252").heads == {other: "Größe;x"}


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (lambda whole: whole[: len(whole) // 2], "cut short"),
        (lambda whole: b"no gzip at all\n" * 100, "damaged, or is not compressed at all"),
        (lambda whole: whole[:2000] + b"\x00\xff" * 500 + whole[3000:], "damaged, or is not compressed at all"),
    ],
)
def test_a_damaged_gzip_among_others_is_named(spark, tmp_path, damaged, message):
    whole = gzip.compress("".join(f"{n * 7919 % 10007},{n}\n" for n in range(20000)).encode())
    (tmp_path / "good.csv.gz").write_bytes(whole)
    (tmp_path / "half.csv.gz").write_bytes(damaged(whole))
    with pytest.raises(UserError, match=rf"half\.csv\.gz: .*{message}"):
        read_lines(spark, [str(tmp_path)])


def test_an_empty_file_and_an_empty_folder_are_said_to_be_so(spark, tmp_path):
    with pytest.raises(UserError, match="no files here"):
        read_lines(spark, [str(tmp_path)])
    with pytest.raises(UserError, match=r"e\.txt: the file is empty"):
        read_lines(spark, [write(tmp_path / "e.txt", "")])
