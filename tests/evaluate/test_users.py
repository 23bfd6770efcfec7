"""The context that users are evaluated in, by rows written by hand."""

from __future__ import annotations

import pyarrow as pa

from recsys_spark.evaluate.subjects import in_context
from recsys_spark.evaluate.users import CONTEXT_OF, with_context


def test_the_context_is_that_of_the_first_event_held_out_as_each_fit_encodes_it(spark) -> None:
    rows = [
        ("evaluate", "test", 0, 7, b"later"),
        ("evaluate", "test", 0, 5, b"first"),
        ("refit", "test", 0, 5, b"first of refit"),
        ("refit", "test", 0, 7, b"later of refit"),
        ("evaluate", "validation", 0, 4, b"before"),
        ("evaluate", "test", 1, 0, b"another user"),
    ]
    contexts = spark.createDataFrame(rows, "fit string, part string, user_idx int, position int, context binary")
    examples = spark.createDataFrame([(0, "test"), (0, "validation"), (2, "test")], "user_idx int, part string")
    found = {
        (row.user_idx, row.part): tuple(value and bytes(value) for value in (row.context_evaluate, row.context_refit))
        for row in examples.transform(with_context(contexts)).collect()
    }
    assert found == {
        (0, "test"): (b"first", b"first of refit"),
        (0, "validation"): (b"before", None),
        (2, "test"): (None, None),
    }


def test_each_fit_is_given_the_context_as_it_encodes_it() -> None:
    users = pa.RecordBatch.from_pydict({name: [fit.encode()] for fit, name in CONTEXT_OF.items()})
    for fit in CONTEXT_OF:
        assert in_context(users, fit).column("context").to_pylist() == [fit.encode()]
    assert in_context(users, "production") is users
