from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.whole_users import by_whole_users


@given(st.lists(st.integers(0, 6), max_size=40), st.lists(st.integers(1, 7), min_size=1, max_size=40))
def test_no_user_is_split_and_no_row_is_lost(users, sizes):
    users = sorted(users)
    rows = pa.RecordBatch.from_arrays(
        [pa.array(users, pa.int32()), pa.array(range(len(users)), pa.int32())], ["user_idx", "n"]
    )
    batches, start = [], 0
    for size in [*sizes, len(users)]:
        batches.append(rows.slice(start, size))
        start += size
    tables = list(by_whole_users(batches))
    assert [n for table in tables for n in table.column("n").to_pylist()] == list(range(len(users)))
    seen: set[int] = set()
    for table in tables:
        own = set(table.column("user_idx").to_pylist())
        assert own and not own & seen
        seen |= own
