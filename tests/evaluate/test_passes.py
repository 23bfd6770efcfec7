"""What the workers do, without Spark: Arrow batches in, figures of users out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

from recsys_spark.evaluate.blocks import Lists, blocks, rows_within
from recsys_spark.evaluate.catalogue import Catalogue, in_head
from recsys_spark.evaluate.full import full_pass
from recsys_spark.evaluate.measures import ALL
from recsys_spark.evaluate.sampled import sampled_pass
from recsys_spark.evaluate.scorers import Popularity, Random, Scorer, WithFallback
from recsys_spark.evaluate.subjects import POPULARITY, RANDOM, Plan, Subject
from recsys_spark.models.users import Users
from tests.evaluate.matrix_scorer import MatrixScorer

N_USERS, N_ITEMS = 40, 30
BOTH = ("validation", "test")


def make_plan(scorer: Scorer, **changes: Any) -> Plan:
    counts = np.arange(N_ITEMS, dtype=float) % 7
    catalogue = Catalogue(counts, in_head(counts, 0.2), N_USERS)
    settings: dict[str, Any] = {
        "subjects": [
            Subject("m1", "matrix", "evaluate", BOTH, "somewhere"),
            Subject(POPULARITY, POPULARITY, "evaluate", BOTH),
            Subject(RANDOM, RANDOM, "evaluate", BOTH),
        ],
        "catalogue": SimpleNamespace(value=catalogue),
        "load": lambda path: scorer,
        "ks": [1, 5],
        "negatives": 4,
        "seed": 7,
        "exclude_seen": True,
        "block_users": 256,
        "block_bytes": 1 << 20,
    }
    return Plan(**{**settings, **changes})


def eval_users(random: np.random.Generator) -> pa.RecordBatch:
    """Each user in both parts, with disjoint train items, validation items, targets and candidates."""
    rows: dict[str, list[Any]] = {}
    for user in range(N_USERS):
        items = random.permutation(N_ITEMS).astype(np.int32)
        for part in BOTH:
            row = {
                "part": part,
                "user_idx": user,
                "user_segment": "users_light",
                "train_items": sorted(items[:5]),
                "validation_items": sorted(items[5:7]),
                "targets": sorted(items[5:7] if part == "validation" else items[7:9]),
                "candidates": list(items[9 : 9 + 3 + user % 5]),
            }
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
    lists = pa.list_(pa.int32())
    types = {"part": pa.string(), "user_idx": pa.int32(), "user_segment": pa.string()}
    return pa.RecordBatch.from_pydict({name: pa.array(values, types.get(name, lists)) for name, values in rows.items()})


def rows_of(batches: Any, model: str = "m1") -> dict[tuple[str, int], dict[str, Any]]:
    rows = [row for batch in batches for row in batch.to_pylist()]
    return {
        (row["part"], row["user_idx"]): row for row in rows if row["model_version"] == model and row["segment"] == ALL
    }


@pytest.fixture
def matrix() -> MatrixScorer:
    return MatrixScorer(np.random.default_rng(5).standard_normal((N_USERS, N_ITEMS)).astype(np.float32))


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_full_lists_leave_out_what_the_user_had(matrix: MatrixScorer, exclude_seen: bool) -> None:
    users = eval_users(np.random.default_rng(6))
    rows = rows_of(full_pass(make_plan(matrix, exclude_seen=exclude_seen))([users]))
    scores = matrix.all_scores(Users.without_history(np.arange(N_USERS)))
    for user in users.to_pylist():
        had = set(user["train_items"])
        if user["part"] == "test":
            had |= set(user["validation_items"])
        order = [item for item in np.argsort(-scores[user["user_idx"]]) if not (exclude_seen and item in had)]
        row = rows[user["part"], user["user_idx"]]
        assert row["listed"] == order[:5]
        found = [place for place, item in enumerate(order[:5], start=1) if item in user["targets"]]
        assert_allclose(row["recall_5"], len(found) / 2)
        assert_allclose(row["mrr_5"], 1 / found[0] if found else 0.0)


def test_scores_of_a_user_in_two_parts_are_asked_for_once(matrix: MatrixScorer) -> None:
    asked: list[int] = []

    class Counting(MatrixScorer):
        def all_scores(self, users: Users) -> np.ndarray:
            asked.extend(users.idx.tolist())
            return super().all_scores(users)

    list(full_pass(make_plan(Counting(matrix._matrix)))([eval_users(np.random.default_rng(6))]))
    assert asked == list(range(N_USERS))


def test_the_size_of_blocks_does_not_matter(matrix: MatrixScorer) -> None:
    users = eval_users(np.random.default_rng(8))
    for make_pass in (full_pass, sampled_pass):
        whole = rows_of(make_pass(make_plan(matrix))([users]))
        bits = rows_of(make_pass(make_plan(matrix, block_users=7))([users.slice(0, 11), users.slice(11)]))
        assert whole == bits


def test_a_refit_is_measured_on_test_alone(matrix: MatrixScorer) -> None:
    subject = Subject("m1-refit", "matrix", "refit", ("test",), "somewhere")
    batches = sampled_pass(make_plan(matrix, subjects=[subject]))([eval_users(np.random.default_rng(6))])
    assert {part for part, _ in rows_of(batches, "m1-refit")} == {"test"}


def test_random_gets_about_what_chance_gives(matrix: MatrixScorer) -> None:
    rows = rows_of(full_pass(make_plan(matrix))([eval_users(np.random.default_rng(9))]), RANDOM)
    auc = np.array([row["auc"] for row in rows.values()])
    assert abs(auc.mean() - 0.5) < 4 * auc.std() / np.sqrt(len(auc))


@pytest.mark.parametrize(
    "scorer",
    [
        Popularity(np.arange(9.0) % 4),
        Random(3, 9),
        WithFallback(MatrixScorer(np.eye(3, 9, dtype=np.float32)), Popularity(np.arange(9.0))),
        WithFallback(MatrixScorer(np.eye(9, 9, dtype=np.float32)), Popularity(np.arange(9.0))),
    ],
)
def test_all_scores_are_the_scores_of_all_items(scorer: Scorer) -> None:
    users = Users.without_history([0, 5, 2])
    items = np.tile(np.arange(9, dtype=np.int32), (3, 1))
    everything = scorer.all_scores(users)
    assert everything.dtype == np.float32
    assert everything.shape == (3, scorer.n_items)
    np.testing.assert_array_equal(everything, scorer.scores(users, items))
    # as many users as asked for, in the order asked for, and writable without harm to the next call
    everything[:] = -np.inf
    np.testing.assert_array_equal(scorer.all_scores(users[::-1])[::-1], scorer.scores(users, items))


def test_users_unknown_to_the_model_are_scored_by_popularity() -> None:
    scorer = WithFallback(MatrixScorer(np.full((1, 3), 9.0, np.float32)), Popularity(np.array([2.0, 0.0, 1.0])))
    np.testing.assert_array_equal(scorer.all_scores(Users.without_history([0, 1])), [[9, 9, 9], [2, 0, 1]])


def test_random_depends_on_seed_user_and_item_alone() -> None:
    users, items = Users.without_history([4, 4]), np.array([[1, 2], [2, 1]], np.int32)
    scores = Random(1, 3).scores(users, items)
    assert scores[0, 0] == scores[1, 1] != scores[0, 1]
    assert scores[0, 0] != Random(2, 3).scores(users, items)[0, 0]


def test_lists_of_a_slice() -> None:
    column = pa.array([[1], [2, 3], [], [4]], pa.list_(pa.int32()))
    batch = pa.RecordBatch.from_pydict({"items": column}).slice(1, 3)
    lists = Lists.of(batch, "items")
    assert lists.rows.tolist() == [0, 0, 2]
    assert lists.padded().tolist() == [[2, 3], [-1, -1], [4, -1]]
    assert lists.below(4).values.tolist() == [2, 3]
    assert_allclose(lists.mean_of(np.array([0.0, 0.0, 10.0, 20.0, 5.0])), [15.0, np.nan, 5.0])


def test_blocks_hold_every_row_once() -> None:
    batch = pa.RecordBatch.from_pydict({"user_idx": pa.array(range(10))})
    sizes = [block.num_rows for block in blocks([batch, batch.slice(0, 0), batch.slice(0, 3)], 4)]
    assert sizes == [4, 4, 2, 3]


def test_blocks_stay_within_their_bytes() -> None:
    assert rows_within(limit=1000, rows=256, row_bytes=100) == 10
    assert rows_within(limit=1000, rows=5, row_bytes=100) == 5
    assert rows_within(limit=10, rows=256, row_bytes=100) == 1
