from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.errors import UserError
from recsys_spark.feed.shards import plan_epoch
from recsys_spark.files import LiveFile


def files(*rows: int) -> list[LiveFile]:
    return [LiveFile(f"f{n}", count) for n, count in enumerate(rows)]


def test_every_rank_makes_the_steps_of_the_smallest_shard():
    plan = plan_epoch(files(100, 100, 105, 109), ranks=2, batch_rows=20)
    assert sorted(sum(f.rows for f in shard) for shard in plan.shards) == [205, 209]
    assert (plan.steps, plan.batch_rows, plan.rows) == (10, 20, 400)


def test_a_shard_smaller_than_a_batch_makes_the_batch_smaller():
    plan = plan_epoch(files(7, 9), ranks=2, batch_rows=20)
    assert (plan.steps, plan.batch_rows) == (1, 7)


def test_fewer_files_than_ranks_name_the_setting():
    with pytest.raises(UserError, match=r"training\.ranks.*examples.rows_per_file"):
        plan_epoch(files(100), ranks=2, batch_rows=10)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.integers(1, 12), st.integers(1, 64))
def test_shards_hold_every_file_once_and_no_rank_runs_out(rows, ranks, batch):
    held = files(*rows)
    if ranks > len(held):
        return
    plan = plan_epoch(held, ranks, batch)
    assert sorted(f.url for shard in plan.shards for f in shard) == sorted(f.url for f in held)
    assert plan.steps >= 1
    assert all(plan.steps * plan.batch_rows <= sum(f.rows for f in shard) for shard in plan.shards)
