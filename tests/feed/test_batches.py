from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_spark.errors import UserError
from recsys_spark.feed.batches import dataset, epoch_stacks, rebatch
from recsys_spark.feed.layouts import layout_of
from recsys_spark.feed.petastorm import as_url
from recsys_spark.feed.shards import plan_epoch
from recsys_spark.feed.validation import held_out
from recsys_spark.files import LiveFile
from recsys_spark.ragged import NO_ITEM

PAIRS = layout_of("pairs", 2, 0)


def write(folder: Path, sizes: list[int], row_group: int | None = None) -> list[LiveFile]:
    """Files whose rows count up through all of them: user n, item n + 1000, negatives n + 2000 and n + 3000."""
    made, first = [], 0
    for number, size in enumerate(sizes):
        n = np.arange(first, first + size, dtype=np.int32)
        table = pa.table(
            {name: n + 1000 * place for place, name in enumerate(PAIRS.columns)} | {"other": n.astype(str)}
        )
        path = folder / f"part {number}.parquet"
        pq.write_table(table, path, row_group_size=row_group)
        made.append(LiveFile(str(path), size))
        first += size
    return made


def rows_of(stacks) -> np.ndarray:
    return np.concatenate(list(stacks)).reshape(-1, PAIRS.width)


def test_an_epoch_has_every_row_once_whole_and_in_another_order(tmp_path):
    plan = plan_epoch(write(tmp_path, [50, 40, 30]), ranks=1, batch_rows=12)
    first, second = (rows_of(epoch_stacks(plan, PAIRS, 0, 1, epoch)) for epoch in (1, 2))
    for rows in (first, second):
        assert rows.dtype == np.int32
        assert sorted(rows[:, 0].tolist()) == list(range(120))
        np.testing.assert_array_equal(rows - rows[:, :1], np.tile([0, 1000, 2000, 3000], (120, 1)))
    assert first[:, 0].tolist() != second[:, 0].tolist()
    np.testing.assert_array_equal(first, rows_of(epoch_stacks(plan, PAIRS, 0, 1, 1)))


def test_stacks_hold_at_most_so_many_batches_and_all_of_an_epoch(tmp_path):
    plan = plan_epoch(write(tmp_path, [50, 40, 30]), ranks=1, batch_rows=12)
    stacks = list(epoch_stacks(plan, PAIRS, 0, 1, 1, most=3))
    assert {stack.shape[1:] for stack in stacks} == {(12, 4)}
    assert max(len(stack) for stack in stacks) == 3
    assert sum(len(stack) for stack in stacks) == plan.steps == 10
    np.testing.assert_array_equal(rows_of(stacks), rows_of(epoch_stacks(plan, PAIRS, 0, 1, 1)))


def test_ranks_share_no_row_and_make_equal_steps(tmp_path):
    plan = plan_epoch(write(tmp_path, [40, 40, 40, 44]), ranks=2, batch_rows=16)
    per_rank = [list(epoch_stacks(plan, PAIRS, rank, 1, 1)) for rank in (0, 1)]
    assert [len(batches) for batches in per_rank] == [plan.steps, plan.steps]
    assert {batch.shape for batches in per_rank for batch in batches} == {(1, 16, 4)}
    users = [set(rows_of(batches)[:, 0].tolist()) for batches in per_rank]
    assert not users[0] & users[1]


def test_a_file_of_two_row_groups_is_refused(tmp_path):
    plan = plan_epoch(write(tmp_path, [40], row_group=20), ranks=1, batch_rows=10)
    with pytest.raises(UserError, match="rows_per_file"):
        list(epoch_stacks(plan, PAIRS, 0, 1, 1))


def test_a_file_with_other_rows_than_the_log_counts_is_refused(tmp_path):
    (file,) = write(tmp_path, [40])
    plan = plan_epoch([LiveFile(file.url, 39)], ranks=1, batch_rows=10)
    with pytest.raises(UserError, match="Delta's log"):
        list(epoch_stacks(plan, PAIRS, 0, 1, 1))


def test_what_is_wrong_with_a_file_reaches_the_training_in_its_own_words(tmp_path):
    (file,) = write(tmp_path, [40])
    plan = plan_epoch([LiveFile(file.url, 39)], ranks=1, batch_rows=10)
    with pytest.raises(UserError, match="Delta's log"):
        list(dataset(plan, PAIRS, 0, 1, 1, most=2))


def test_windows_travel_packed_and_ratings_as_bits(tmp_path):
    import tensorflow as tf

    windows = np.array([[-1, 5, 6], [7, 8, 9]], dtype="<i4")
    table = {"user_idx": pa.array([3, 4], pa.int32()), "window": pa.array([row.tobytes() for row in windows])}
    pq.write_table(pa.table(table), tmp_path / "windows.parquet")
    plan = plan_epoch([LiveFile(str(tmp_path / "windows.parquet"), 2)], ranks=1, batch_rows=2)
    layout = layout_of("sequences", 0, 2)
    batch = layout.batch(tf.constant(next(epoch_stacks(plan, layout, 0, 1, 1))[0]))
    order = np.argsort(batch["user"].numpy())
    np.testing.assert_array_equal(batch["window"].numpy()[order], windows)
    with pytest.raises(UserError, match=r"hold 4 numbers, expected 6.*examples\.window"):
        next(epoch_stacks(plan, layout_of("sequences", 0, 4), 0, 1, 1))

    next(epoch_stacks(plan, layout_of("sequences", 0, 2, n_users=5, n_items=10), 0, 1, 1))
    for sizes, message in (((5, 9), "item index 9, the model's table of items ends at 8"), ((4, 10), "user index 4")):
        with pytest.raises(UserError, match=message):
            next(epoch_stacks(plan, layout_of("sequences", 0, 2, 0, *sizes), 0, 1, 1))

    with pytest.raises(UserError, match=r"no contexts, or no baskets.*run jobs/examples\.py again"):
        layout_of("sequences", 0, 2, baskets=True).block([*(np.zeros(1, np.int32),) * 4, np.array([None])])

    ratings = layout_of("ratings", 0, 0)
    block = ratings.block([np.array([1, 2], np.int32), np.array([5, 6], np.int32), np.array([3.5, np.nan], np.float32)])
    rated = ratings.batch(tf.constant(block))
    assert rated["items"].numpy().tolist() == [[5], [6]]
    np.testing.assert_array_equal(rated["value"].numpy(), [3.5, np.nan])

    pairs = layout_of("rated_pairs", 1, 0)
    ints = [np.array([n, n + 1], np.int32) for n in (1, 5, 8)]
    batch = pairs.batch(tf.constant(pairs.block([*ints, np.array([3.5, np.nan]), np.array([1.0, 0.0])])))
    assert batch["items"].numpy().tolist() == [[5, 8], [6, 9]]
    np.testing.assert_array_equal(batch["value"].numpy(), [3.5, np.nan])
    assert batch["converted"].numpy().tolist() == [1.0, 0.0]


def test_rebatch_carries_over_what_a_block_leaves():
    blocks = [np.arange(start, start + 5, dtype=np.int32)[:, None] for start in range(0, 20, 5)]
    stacks = list(rebatch(blocks, 4, np.random.default_rng(0)))
    assert [stack.shape for stack in stacks] == [(1, 4, 1), (1, 4, 1), (1, 4, 1), (2, 4, 1)]
    assert sorted(np.concatenate(stacks).ravel().tolist()) == list(range(20))


def test_urls():
    assert as_url("/data/x y.parquet") == "file:///data/x y.parquet"
    assert as_url("s3a://bucket/x") == "s3://bucket/x"
    assert as_url("file:/data/x") == "file:///data/x"
    assert as_url("dbfs:/data/x") == "file:///dbfs/data/x"


def test_held_out_lists_are_padded_and_shared_by_hash(tmp_path):
    lists = pa.table(
        {
            "user_idx": pa.array([3, 4, 5, 6], pa.int32()),
            "targets": pa.array([[1], [2, 3], [4], [5]], pa.list_(pa.int32())),
            "values": pa.array([[1.5], [2.0, None], [None], [4.0]], pa.list_(pa.float64())),
            "candidates": pa.array([[7, 8], [9], [7, 9], [8]], pa.list_(pa.int32())),
        }
    )
    pq.write_table(lists, tmp_path / "a.parquet")
    files = [LiveFile(str(tmp_path / "a.parquet"), 4)]
    sequences = {
        "user_idx": pa.array([9, 6, 4], pa.int32()),
        "items": pa.array([[1], [2, 3], [4]], pa.list_(pa.int32())),
    }
    pq.write_table(pa.table(sequences), tmp_path / "b.parquet")
    history = LiveFile(str(tmp_path / "b.parquet"), 3)
    alone = held_out(files, [history], 0, 1, most_users=0)
    assert alone.users.tolist() == [3, 4, 5, 6]
    assert alone.items.tolist() == [
        [1, NO_ITEM, 7, 8],
        [2, 3, 9, NO_ITEM],
        [4, NO_ITEM, 7, 9],
        [5, NO_ITEM, 8, NO_ITEM],
    ]
    assert alone.relevant.sum(axis=1).tolist() == [1, 2, 1, 1]
    np.testing.assert_array_equal(alone.values, [[1.5, np.nan], [2.0, np.nan], [np.nan, np.nan], [4.0, np.nan]])
    assert alone.history.tolist() == [[NO_ITEM, NO_ITEM], [NO_ITEM, 4], [NO_ITEM, NO_ITEM], [2, 3]]
    assert alone.context.shape == (4, 0)
    contexts = {
        "user_idx": pa.array([6, 4, 9, 6], pa.int32()),
        "position": pa.array([8, 2, 1, 7], pa.int32()),
        "context": pa.array([np.array(row, "<i4").tobytes() for row in ([1, 2], [3, 4], [5, 6], [7, 8])], pa.binary()),
    }
    pq.write_table(pa.table(contexts), tmp_path / "c.parquet")
    first_of_each = held_out(files, [], 0, 1, most_users=0, contexts=[LiveFile(str(tmp_path / "c.parquet"), 4)])
    assert first_of_each.history.shape == (4, 0)
    assert first_of_each.context.tolist() == [[-1, -1], [3, 4], [-1, -1], [7, 8]]
    shared = [held_out(files, [], rank, 2, most_users=0).users.tolist() for rank in (0, 1)]
    assert sorted(shared[0] + shared[1]) == [3, 4, 5, 6]
    assert len(held_out(files, [], 0, 1, most_users=1).users) < 4
