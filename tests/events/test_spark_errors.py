from __future__ import annotations

import pytest
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from recsys_spark.errors import UserError
from recsys_spark.spark_errors import explained, readable_path


def test_paths_are_shown_as_people_write_them():
    assert readable_path("file:///tmp/a%20b+c%2520.csv") == "/tmp/a b+c%20.csv"
    assert readable_path("s3://bucket/a%20b.csv") == "s3://bucket/a b.csv"


def test_a_file_that_spark_names_takes_the_place_of_the_input():
    with pytest.raises(UserError, match=r"^/data/x\.parquet: not a Parquet file that can be read"), explained("input"):
        raise PySparkException(
            "Encountered error while reading file file:///data/x.parquet. Details: could not decode the dictionary"
        )
    with pytest.raises(UserError, match=r"^/data/b\.parquet: a column has another type here"), explained("input"):
        raise PySparkException(
            "Parquet column cannot be converted in file file:///data/b.parquet. Column: [who], Expected: string, Found: INT64."
        )
    with pytest.raises(UserError, match=r"^input: this user may not read it"), explained("input"):
        raise PySparkException("java.io.IOException: Permission denied")


def test_a_failure_of_another_kind_passes_as_it_is():
    # a Python worker that dies says EOFException too, and is no fault of the file
    with pytest.raises(PySparkException, match="worker"), explained("input"):
        raise PySparkException("Python worker exited unexpectedly (crashed): java.io.EOFException")
    with pytest.raises(Py4JError), explained("input"):
        raise Py4JError("lost the JVM")
