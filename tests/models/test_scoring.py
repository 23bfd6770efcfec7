"""BlockScorer against the model itself and a brute-force sort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.models import BlockScorer, build_model
from recsys_spark.models.halves import Halves

USERS, ITEMS = 9, 45
SMALL = {"gmf_width": 3, "mlp_width": 4, "mlp_layers": (6, 5)}


def model_of(mode: str = "neumf", n_items: int = ITEMS, **changes: Any) -> Any:
    model = build_model(mode, {**SMALL, **changes}, USERS, n_items)
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0.0, 0.7, variable.shape))
    return model


def of_fixed_scores(scores: Any) -> dict[str, Any]:
    """Weights of a GMF whose score of user u and item i is `scores[u, i]`: small integers, so exact."""
    scores = np.asarray(scores, dtype=np.float32)
    users = len(scores)
    return {
        "user_gmf": np.eye(users, dtype=np.float32),
        "item_gmf": np.ascontiguousarray(scores.T),
        "output_gmf": np.ones(users, dtype=np.float32),
        "output_bias": np.float32(0.0),
    }


def brute_force(scores: Any, n: int, excluded: list[list[int]]) -> tuple[Any, Any]:
    """Sort every user's items by (-score, index), leave out the excluded, cut at n, fill with -1."""
    items, best = [], []
    for row, own in zip(scores.tolist(), excluded, strict=True):
        left = sorted((-score, item) for item, score in enumerate(row) if item not in own)[:n]
        missing = n - len(left)
        items.append([item for _, item in left] + [-1] * missing)
        best.append([-score for score, _ in left] + [-np.inf] * missing)
    return np.array(items), np.array(best)


def as_ragged(lists: list[list[int]]) -> tuple[Any, Any]:
    indptr = np.concatenate([[0], np.cumsum([len(each) for each in lists])])
    return indptr, np.array([item for each in lists for item in each], dtype=np.int32)


@pytest.mark.parametrize("mode", ["neumf", "gmf", "mlp"])
@pytest.mark.parametrize("layers", [(6,), (6, 5), (6, 5, 4)])
def test_scores_are_the_models(mode: str, layers: tuple[int, ...]) -> None:
    model = model_of(mode, mlp_layers=layers)
    scores = BlockScorer(model, block_users=4, tile_items=16).all_scores(np.arange(USERS))
    expected = model({"user": np.arange(USERS), "items": np.tile(np.arange(ITEMS), (USERS, 1))})
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["neumf", "gmf", "mlp"])
@pytest.mark.parametrize(
    "max_bytes", [4000, 1 << 20]
)  # the items' share in the first layer, 4,800 bytes, is kept or not
def test_scores_of_a_users_own_items_are_the_models(mode: str, max_bytes: int) -> None:
    model, users = model_of(mode, n_items=200), np.array([3, 0, 3])
    items = np.random.default_rng(4).integers(0, 200, (3, 7)).astype(np.int32)
    expected = model({"user": users, "items": items})
    scorer = BlockScorer(model, block_users=1, tile_items=8, max_bytes=max_bytes)
    for _ in range(2):
        np.testing.assert_allclose(scorer.scores(users, items), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="item indices run from 0 to 200, the model's from 0 to 199"):
        scorer.scores([0], np.array([[0, 200]]))


def test_a_users_scores_do_not_depend_on_the_block() -> None:
    model = model_of()
    whole = BlockScorer(model).all_scores(np.arange(USERS))
    for user in range(USERS):
        np.testing.assert_array_equal(BlockScorer(model, threads=2).all_scores([user])[0], whole[user])
    shuffled = np.random.default_rng(0).permutation(USERS)
    np.testing.assert_array_equal(BlockScorer(model, block_users=2).all_scores(shuffled), whole[shuffled])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_top_n_is_a_brute_force_sort(data: st.DataObject) -> None:
    users, items = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 40))
    seed = data.draw(st.integers(0, 1000))
    scores = np.random.default_rng(seed).integers(-2, 3, (users, items))  # few values: many ties
    excluded = [data.draw(st.lists(st.integers(0, items - 1), unique=True)) for _ in range(users)]
    n = data.draw(st.integers(1, items + 3))
    scorer = BlockScorer(
        of_fixed_scores(scores),
        threads=data.draw(st.integers(1, 2)),
        block_users=data.draw(st.integers(1, 4)),
        tile_items=8,
        max_bytes=2 * (8 * (4 * 4 + 72 + 72 * 4) + 4 * 5 * (8 + 2 * 4)) + data.draw(st.integers(0, 4000)),
    )
    found_items, found_scores = scorer.top_n(np.arange(users), n, as_ragged(excluded))
    expected_items, expected_scores = brute_force(scores, n, excluded)
    np.testing.assert_array_equal(found_items, expected_items)
    np.testing.assert_array_equal(found_scores, expected_scores)
    assert (found_items.dtype, found_scores.dtype) == (np.int32, np.float32)


def test_equal_scores_go_by_index_across_tiles_and_chunks() -> None:
    scorer = BlockScorer(
        of_fixed_scores(np.zeros((1, 40))), block_users=1, tile_items=8, max_bytes=8 * (4 + 72 + 72) + 4 * 10
    )
    np.testing.assert_array_equal(scorer.top_n([0], 12)[0], [np.arange(12)])


def test_excluded_items_that_the_model_does_not_know_are_passed_over() -> None:
    scorer = BlockScorer(of_fixed_scores([[3, 1, 2]]))
    items, scores = scorer.top_n([0], 4, (np.array([0, 3]), np.array([0, 3, 99])))
    np.testing.assert_array_equal(items, [[2, 1, -1, -1]])
    np.testing.assert_array_equal(scores, [[2.0, 1.0, -np.inf, -np.inf]])


def test_user_tables_may_be_on_disk_or_absent(tmp_path: Path) -> None:
    model, users = model_of(), np.array([3, 8, 3])
    weights, expected = model.arrays(), BlockScorer(model).top_n(users, 5)
    mapped = dict(weights)
    for name in ("user_gmf", "user_mlp"):
        np.save(tmp_path / f"{name}.npy", weights[name])
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    without = {name: array for name, array in weights.items() if not name.startswith(("user_gmf", "user_mlp"))}
    vectors = Halves(weights["user_gmf"][users], weights["user_mlp"][users])
    for found in (BlockScorer(mapped).top_n(users, 5), BlockScorer(without).top_n_of(vectors, 5)):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
    with pytest.raises(ValueError, match="no user tables"):
        BlockScorer(without).top_n(users, 5)


def test_no_users_have_no_rows() -> None:
    items, scores = BlockScorer(model_of()).top_n([], 5)
    assert items.shape == scores.shape == (0, 5)


def test_what_it_holds_is_bounded() -> None:
    """With room for 600 items the catalogue goes by chunks, whose arrays stay under the bound."""
    import tracemalloc

    rng = np.random.default_rng(0)
    items, users, bound = 200_000, 64, 6_000_000
    weights = of_fixed_scores(rng.integers(0, 1000, (4, items)))
    weights["user_gmf"] = np.tile(weights["user_gmf"], (users // 4, 1))
    scorer = BlockScorer(weights, max_bytes=bound)
    tracemalloc.start()
    scorer.top_n(np.arange(users), 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < bound + 100_000
    assert items * users * 4 > 8 * bound


def test_too_small_a_bound_says_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"max_bytes is 100, expected [\d,]+ or more for 1 threads") as raised:
        BlockScorer(model_of(), max_bytes=100)
    needed = int(str(raised.value).split("expected ")[1].split(" or more")[0].replace(",", ""))
    BlockScorer(model_of(), max_bytes=needed)
    with pytest.raises(ValueError, match="max_bytes"):
        BlockScorer(model_of(), max_bytes=needed - 1)


def test_mistakes_are_named() -> None:
    scorer = BlockScorer(model_of())
    with pytest.raises(ValueError, match="user index 9 is outside the model's 9 users"):
        scorer.top_n([0, 9], 5)
    with pytest.raises(ValueError, match="n is 0"):
        scorer.top_n([0], 0)
    with pytest.raises(ValueError, match="indptr has 2 entries, expected 3"):
        scorer.top_n([0, 1], 5, (np.array([0, 0]), np.array([], dtype=np.int32)))
    broken = model_of()
    broken.item_mlp.assign(np.full((ITEMS, 4), np.nan))
    with pytest.raises(ValueError, match="not finite"):
        BlockScorer(broken).top_n([0], 5)
