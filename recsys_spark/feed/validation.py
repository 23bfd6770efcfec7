"""The held-out lists that a rank validates on, as padded arrays: a bounded sample of users, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys_spark import columns as c
from recsys_spark.feed.side import read_columns
from recsys_spark.files import LiveFile
from recsys_spark.hashing import hash_of
from recsys_spark.ragged import NO_ITEM, Int32s, padded


@dataclass(frozen=True)
class HeldOut:
    """What is held out: `users` (U,), and of each their `targets`, `candidates` and `history`, padded with `NO_ITEM`.

    Targets and candidates are padded behind, histories, which are oldest first, in front. `values` are those of the
    targets, NaN where there is none. `context` (U, W) is that of each user's first held-out event. `seen` (U, S), padded
    behind, are the different items of the train part, which a history that is cut does not all hold.
    """

    users: Int32s
    targets: Int32s
    candidates: Int32s
    values: npt.NDArray[np.float64]
    history: Int32s
    context: Int32s
    seen: Int32s

    @cached_property
    def items(self) -> Int32s:
        """Targets, then candidates: (U, C)."""
        return np.concatenate([self.targets, self.candidates], axis=1)

    @cached_property
    def relevant(self) -> npt.NDArray[np.bool_]:
        """Which of `items` are targets: (U, C)."""
        relevant: npt.NDArray[np.bool_] = self.items != NO_ITEM
        relevant[:, self.targets.shape[1] :] = False
        return relevant


def held_out(
    files: Sequence[LiveFile],
    histories: Sequence[LiveFile],
    rank: int,
    ranks: int,
    most_users: int,
    contexts: Sequence[LiveFile] = (),
    pairs: Sequence[LiveFile] = (),
) -> HeldOut:
    """A rank's share of the held-out users: those that hash to it, and of them at most `most_users / ranks` (0: all).

    The sample is by hash of the user, so it is the same users on any number of ranks, but for the rounding. O(rows of the
    files), a file at a time; only the chosen users are kept.

    Args:
        histories: files of `sequences`; none where no model reads them.
        contexts: files of `event_contexts` of the part; none where the model takes no context.
        pairs: files of `interactions`; none where nothing is left out for having been seen.
    """
    rows = sum(file.rows for file in files)
    share = 1.0 if not most_users else min(1.0, most_users / max(1, rows))
    tables = [_chosen(read_columns(file, _COLUMNS), rank, ranks, share) for file in files]
    lists = pa.concat_tables(tables) if tables else _nothing(_COLUMNS)
    users = lists.column(c.USER_IDX).to_numpy().astype(np.int32)
    targets, candidates = (_rows_of(lists.column(name)) for name in (c.TARGETS, c.CANDIDATES))
    values = np.full(targets.shape, np.nan)
    values[targets != NO_ITEM] = lists.column(c.VALUES).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    history, context, seen = _histories_of(users, histories), _contexts_of(users, contexts), _seen_by(users, pairs)
    return HeldOut(users, targets, candidates, values, history, context, seen)


_COLUMNS = (c.USER_IDX, c.TARGETS, c.VALUES, c.CANDIDATES)


def _chosen(lists: pa.Table, rank: int, ranks: int, share: float) -> pa.Table:
    hashes = hash_of(0, lists.column(c.USER_IDX).to_numpy())
    in_sample = (hashes >> np.uint64(32)) < np.uint64(int(share * (1 << 32)))
    mine = hashes % np.uint64(ranks) == np.uint64(rank)
    return lists.filter(pa.array(in_sample & mine))


def _histories_of(users: Int32s, files: Sequence[LiveFile]) -> Int32s:
    """(U, L), nothing for users without a sequence."""
    found = _of_users(users, files, (c.USER_IDX, c.ITEMS))
    ragged = _rows_of(found.column(c.ITEMS), in_front=True)
    history = np.full((len(users), ragged.shape[1]), NO_ITEM, dtype=np.int32)
    history[_places(users, found)] = ragged
    return history


def _contexts_of(users: Int32s, files: Sequence[LiveFile]) -> Int32s:
    """(U, W), of each user's first event in the files; all -1 for users without one."""
    found = _of_users(users, files, (c.USER_IDX, c.POSITION, c.CONTEXT))
    if not found.num_rows:
        return np.empty((len(users), 0), dtype=np.int32)
    newest_first = found.sort_by([(c.POSITION, "descending")])
    packed = np.frombuffer(b"".join(newest_first.column(c.CONTEXT).to_pylist()), "<i4")
    context = np.full((len(users), len(packed) // newest_first.num_rows), -1, dtype=np.int32)
    context[_places(users, newest_first)] = packed.reshape(newest_first.num_rows, -1)  # the last one written stays
    return context


def _seen_by(users: Int32s, files: Sequence[LiveFile]) -> Int32s:
    """(U, S), the items that each user took in the train part; S is 0 where no files are given."""
    found = _of_users(users, files, (c.USER_IDX, c.ITEM_IDX, c.TRAIN_POSITIVES))
    taken = found.filter(pc.greater(found.column(c.TRAIN_POSITIVES), 0))
    rows = np.array(_places(users, taken), dtype=np.int64)
    in_order = np.argsort(rows, kind="stable")
    items = taken.column(c.ITEM_IDX).to_numpy()[in_order].astype(np.int32)
    return padded(np.bincount(rows, minlength=len(users)), items)


def _of_users(users: Int32s, files: Sequence[LiveFile], columns: Sequence[str]) -> pa.Table:
    """The users' rows alone, a file at a time."""
    wanted = pa.array(users)
    read = (read_columns(file, columns) for file in files)
    kept = [rows.filter(pc.is_in(rows.column(c.USER_IDX), value_set=wanted)) for rows in read]
    return pa.concat_tables(kept) if kept else _nothing(columns)


def _places(users: Int32s, rows: pa.Table) -> list[int]:
    place = {user: row for row, user in enumerate(users.tolist())}
    return [place[user] for user in rows.column(c.USER_IDX).to_pylist()]


def _nothing(columns: Sequence[str]) -> pa.Table:
    numbers = {name: pa.int32() for name in (c.USER_IDX, c.POSITION, c.ITEM_IDX, c.TRAIN_POSITIVES)}
    kinds = {**numbers, c.VALUES: pa.list_(pa.float64()), c.CONTEXT: pa.binary()}
    return pa.table({name: pa.array([], kinds.get(name, pa.list_(pa.int32()))) for name in columns})


def _rows_of(lists: pa.ChunkedArray, in_front: bool = False) -> Int32s:
    combined = lists.combine_chunks()
    lengths = combined.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return padded(lengths, combined.flatten().to_numpy(), in_front=in_front)
