"""What a rank validates on, from files written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_spark.feed.validation import HeldOut, held_out
from recsys_spark.files import LiveFile
from recsys_spark.ragged import NO_ITEM


def written(folder: Path, name: str, columns: dict[str, list[object]]) -> LiveFile:
    kinds = {"targets": pa.list_(pa.int32()), "candidates": pa.list_(pa.int32()), "values": pa.list_(pa.float64())}
    kinds |= {"items": pa.list_(pa.int32()), "train_positives": pa.int64()}
    table = pa.table({key: pa.array(rows, kinds.get(key, pa.int32())) for key, rows in columns.items()})
    pq.write_table(table, folder / f"{name}.parquet")
    return LiveFile(str(folder / f"{name}.parquet"), table.num_rows)


@pytest.fixture
def lists(tmp_path: Path) -> LiveFile:
    columns = {"user_idx": [7, 2, 5], "targets": [[1], [3, 4], [9]], "values": [[None], [None, 2.0], [None]]}
    return written(tmp_path, "lists", columns | {"candidates": [[8], [9], [1]]})


def test_seen_are_all_items_of_the_train_part_though_histories_are_cut(tmp_path: Path, lists: LiveFile) -> None:
    history = written(tmp_path, "history", {"user_idx": [2], "items": [[6, 8]]})
    pairs = [
        written(tmp_path, "a", {"user_idx": [2, 2, 7], "item_idx": [6, 5, 0], "train_positives": [1, 2, 0]}),
        written(tmp_path, "b", {"user_idx": [3, 2, 7], "item_idx": [6, 8, 4], "train_positives": [1, 1, 1]}),
    ]
    found = held_out([lists], [history], 0, 1, 0, pairs=pairs)
    assert found.users.tolist() == [7, 2, 5]
    assert found.history.tolist() == [[NO_ITEM, NO_ITEM], [6, 8], [NO_ITEM, NO_ITEM]]
    assert [sorted(row) for row in found.seen.tolist()] == [[NO_ITEM, NO_ITEM, 4], [5, 6, 8], [NO_ITEM] * 3]


def test_without_pairs_nothing_is_seen(lists: LiveFile) -> None:
    found = held_out([lists], [], 0, 1, 0)
    assert found.seen.shape == (3, 0)
    assert found.items.tolist() == [[1, NO_ITEM, 8], [3, 4, 9], [9, NO_ITEM, 1]]
    assert found.relevant.tolist() == [[True, False, False], [True, True, False], [True, False, False]]


def test_ranks_share_the_users_out(lists: LiveFile) -> None:
    shares: list[HeldOut] = [held_out([lists], [], rank, 2, 0) for rank in range(2)]
    assert sorted(np.concatenate([share.users for share in shares]).tolist()) == [2, 5, 7]
