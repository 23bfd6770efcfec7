"""What re-ranking knows of the items and what it does to the lists, over tables made by hand."""

from __future__ import annotations

import math
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from recsys_spark import schemas, storage
from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.recommend.effects import Measuring, Night, effects_pass, measure_effects
from recsys_spark.recommend.item_facts import facts_of_items, hold_vectors, item_vectors
from recsys_spark.recommend.rerank import ItemFacts, policy_of
from recsys_spark.recommend.tally import BEFORE, PUBLISHED, Tally
from tests.evaluate.conftest import AS_OF, NOON, SCORES, make_world

# user 0 has 2 held out and lists 3, 4 (5, 4), user 1 has 4 held out and lists 2, 4 (7, 2); both had 0 and 1
GENRES = {0: "Drama|War", 1: "Comedy", 2: "Drama", 3: "Comedy", 4: "Comedy|Drama"}
SETTINGS = [
    "recommend.n=2",
    "recommend.rerank.category_cap=1",
    "recommend.rerank.exposure={group: popularity, least: {tail: 0.9}}",
    "recommend.rerank.exploration={epsilon: 0.01, places: 1}",
]
SECOND = 1 / math.log2(3)


def save_model(path: str) -> None:
    """A GMF whose item vectors are the unit vectors, so that a user's vector is its scores."""
    arrays = {"user_gmf": np.array(SCORES, np.float32), "item_gmf": 2.0 * np.eye(6, dtype=np.float32)}
    arrays |= {"output_gmf": np.full(6, 0.5, np.float32), "output_bias": np.zeros(1, np.float32)}
    storage.save_folder(path, {"model_version": "m1", "model": {"n_users": 3, "n_items": 6}}, arrays)


@pytest.fixture(scope="module")
def measured(spark, tmp_path_factory):
    """The world with attributes and a model, and the run after its effects were measured."""
    world = make_world(spark, tmp_path_factory.mktemp("effects"))
    world.append(
        schemas.ITEM_ATTRIBUTES,
        [(f"i{item}", None, genres, None, None, 1990 + item, None, NOON, "r0") for item, genres in GENRES.items()],
    )
    path = str(world.folder / "m1")
    save_model(path)
    world.append(schemas.MODELS, [("m1", "neumf", AS_OF, "evaluate", path, "", None, 1, 0.0, "hash", NOON, "r0")])
    run = world.run(*SETTINGS)
    # the night's own: two lists of the head alone, of which re-ranking put item 2, of the tail, first
    counted, group = Tally(2), np.array([0, 0, 1])
    counted.show(BEFORE, np.array([[0, 1], [1, 0]]), group)
    counted.show(PUBLISHED, np.array([[2, 0], [1, 0]]), group)
    measure_effects(run, Night(counted, ("head", "tail"), "m-night"))
    return world, run


@pytest.mark.slow
def test_facts_of_the_items(measured) -> None:
    world, run = measured
    facts = facts_of_items(run, AS_OF, "evaluate")
    # all first seen at the newest event of the fit; 4 and 5 were never taken in train
    np.testing.assert_array_equal(facts.age_days, [0, 0, 0, 0, math.nan, math.nan])
    assert facts.category.tolist() == [1, 0, 1, 0, 0, -1]
    # the head is the better half of the four that anyone took
    assert (facts.group.tolist(), facts.group_names) == ([0, 0, 1, 1, 1, 1], ("head", "tail"))
    by_year = facts_of_items(world.run("recommend.rerank.exposure.group=year"), AS_OF, "evaluate")
    assert (by_year.group.tolist(), by_year.group_names[:2]) == ([0, 1, 2, 3, 4, -1], ("1990", "1991"))


@pytest.mark.slow
def test_effects_by_hand(measured) -> None:
    world, run = measured
    table = world.spark.read.format("delta").load(f"{world.root}/rerank_effects").collect()
    assert {(row.as_of_date, row.variant, row.model_version, row.k, row.run_id) for row in table} == {
        (AS_OF, "default", version, 2, run.run_id) for version in ("m1", "m-night")
    }
    found = {(row.step, row.metric, row.segment): row for row in table}
    assert len(found) == len(table) == run.counts["rerank_effects"]
    assert {(row.position, row.step) for row in table} == {
        (0, "scores"), (1, "category_cap"), (2, "exposure"), (3, "exploration"), (4, "night"), (5, "published")
    }  # fmt: skip
    value = {key: row.value for key, row in found.items()}
    assert found["scores", "ndcg", "all"].n == 2
    # alone: [3, 4], both comedies, and [2, 4]; the second user's target is at place 2
    assert value["scores", "ndcg", "all"] == pytest.approx(SECOND / 2)
    assert value["scores", "category_diversity", "all"] == pytest.approx(0.5)
    assert value["scores", "diversity", "all"] == pytest.approx(1.0)
    assert value["scores", "coverage", "all"] == pytest.approx(3 / 6)
    # exposure of the items 0..5 is 0, 0, 1, 1, 2 x .631, 0
    amounts = [0, 0, 1, 1, 2 * SECOND, 0]
    expected = np.mean([abs(a - b) for a in amounts for b in amounts]) / (2 * np.mean(amounts))
    assert value["scores", "gini", "all"] == pytest.approx(expected)
    # one of a category: [3, 2] and [2, 4]: targets at place 2 of both
    assert value["category_cap", "ndcg", "all"] == pytest.approx(SECOND)
    assert value["category_cap", "category_diversity", "all"] == pytest.approx(1.0)
    assert value["category_cap", "coverage", "all"] == pytest.approx(3 / 6)
    # none of them is of the head: shares of 0 and 1, with the step and without
    for step in ("scores", "exposure"):
        assert value[step, "exposure", "tail"] == pytest.approx(1.0)
        assert value[step, "exposure", "head"] == pytest.approx(0.0)
    assert any("category_cap: " in note for note in run.notes)
    of_night = {key: (row.value, row.n) for key, row in found.items() if row.model_version == "m-night"}
    tail = 1 / (2 + 2 * SECOND)
    assert of_night == {
        ("night", "exposure", "head"): (1.0, 2),
        ("night", "exposure", "tail"): (0.0, 2),
        ("published", "exposure", "head"): (pytest.approx(1 - tail), 2),
        ("published", "exposure", "tail"): (pytest.approx(tail), 2),
    }


def test_vectors_are_divided_by_their_lengths(tmp_path) -> None:
    save_model(str(tmp_path / "m"))
    np.testing.assert_allclose(item_vectors(str(tmp_path / "m")), np.eye(6))
    hold_vectors(storage.load_manifest(str(tmp_path / "m")))
    with pytest.raises(UserError, match=r"m9 keeps no vector an item: set recommend\.rerank\.diversity\.by=category"):
        hold_vectors({"model_version": "m9", "arrays": {"000.npy": "gru/kernel"}})


@pytest.mark.slow
def test_what_cannot_be_measured_is_said(measured) -> None:
    world, _ = measured
    run = world.run(*SETTINGS, as_of=AS_OF - timedelta(days=1))
    measure_effects(run)
    assert run.notes == ["no evaluate fit is there: the effects of re-ranking are not measured"]


def test_a_tasks_partial_sums(tmp_path) -> None:
    save_model(str(tmp_path / "m1"))
    chosen = load_config(settings=["recommend.rerank.category_cap=1"]).recommend.rerank
    category, ages = np.array([1, 0, 1, 0, 0, -1], np.int32), np.zeros(6, np.float32)
    facts = SimpleNamespace(value=ItemFacts(ages, category, np.full(6, -1, np.int32)))
    measuring = Measuring(str(tmp_path / "m1"), policy_of(chosen, (), 0, 0), facts, 2, True, block_users=2)
    # users 0 and 1 as above, 2 who had all but 3 and 1, and 7 whom the model does not know
    lists = [[[2], [4], [3], [0]], [[0, 1], [0, 1], [0, 2, 4, 5], []]]
    columns = [pa.array([0, 1, 2, 7], pa.int32()), *(pa.array(of, pa.list_(pa.int32())) for of in lists)]
    batch = pa.RecordBatch.from_arrays(
        [*columns, pa.nulls(4, pa.list_(pa.int32()))], ["user_idx", "targets", "seen", "items"]
    )
    rows = [row for made in effects_pass(measuring)([batch]) for row in made.to_pylist()]
    of_users = {(row["position"], row["metric"]): (row["value"], row["n"]) for row in rows if row["item_idx"] is None}
    # user 2 lists 3, 1, two comedies; and so with a cap, which gives way
    assert of_users[0, "ndcg"] == (pytest.approx(SECOND + 1), 3)
    assert of_users[1, "ndcg"] == (pytest.approx(2 * SECOND + 1), 3)
    assert of_users[0, "category_diversity"] == (pytest.approx(1.0), 3)
    assert of_users[1, "category_diversity"] == (pytest.approx(2.0), 3)
    assert of_users[1, "diversity"] == (pytest.approx(3.0), 3)
    shown = {(row["position"], row["item_idx"]): row["value"] for row in rows if row["item_idx"] is not None}
    expected = {(0, 3): 2, (0, 4): 2 * SECOND, (0, 2): 1, (0, 1): SECOND}
    expected |= {(1, 3): 2, (1, 2): SECOND + 1, (1, 4): SECOND, (1, 1): SECOND}
    assert shown == pytest.approx(expected)
