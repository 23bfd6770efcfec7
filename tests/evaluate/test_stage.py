"""The evaluate stage over tables made by hand; every expected figure is worked out in the test."""

from __future__ import annotations

import math
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss

from recsys_spark import schemas
from recsys_spark.errors import MissingTableError, UserError
from recsys_spark.evaluate.stage import evaluate
from recsys_spark.runs import Run
from tests.evaluate import matrix_scorer
from tests.evaluate.conftest import AS_OF, NOON, SCORES, World

SECOND = 1 / math.log2(3)  # the discount of position 2


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def log1pexp(logit: float) -> float:
    return math.log1p(math.exp(logit))


def test_the_whole_catalogue(evaluated: tuple[World, Run]) -> None:
    # without what they had (train and validation items), users 0..2 have the targets at places 1, 1 and 2;
    # user 3 is unknown to the model, and popularity puts the target first
    of_test = figures(evaluated, "m1", "full", "test", "all")
    expected = {
        ("hr", 1): 3 / 4,
        ("hr", 2): 1.0,
        ("precision", 2): 1 / 2,
        ("recall", 1): 3 / 4,
        ("ndcg", 2): (3 + SECOND) / 4,
        ("mrr", 2): 3.5 / 4,
        ("map", 2): 3.5 / 4,
        ("map_cut", 2): 3.5 / 4,
        ("auc", None): 3.5 / 4,
        ("unknown_users", None): 1 / 4,
        ("unranked_targets", None): 0.0,
    }
    assert {metric: of_test[metric].value for metric in expected} == pytest.approx(expected)
    assert of_test["hr", 1].n == 4
    # values 1, 1, 0, 1: a variance of 1/4, so a standard error of 1/4; the interval is cut at 1
    assert_allclose([of_test["hr", 1].low, of_test["hr", 1].high], [0.75 - 1.96 / 4, 1.0], atol=1e-4)


def test_validation_excludes_train_items_alone(evaluated: tuple[World, Run]) -> None:
    # user 0 ranks 3, 4, 2 (the target), 5; user 1 ranks 2, 4 (the target), 5, 3
    of_validation = figures(evaluated, "m1", "full", "validation", "all")
    assert of_validation["hr", 1].value == 0
    assert_allclose(of_validation["hr", 2].value, 1 / 2)
    assert_allclose(of_validation["auc", None].value, (1 / 3 + 2 / 3) / 2)


def test_users_by_their_train_items(evaluated: tuple[World, Run]) -> None:
    hits = {
        segment: figures(evaluated, "m1", "full", "test", segment)["hr", 1]
        for segment in ("users_new", "users_light", "users_heavy")
    }
    assert {segment: (row.value, row.n) for segment, row in hits.items()} == {
        "users_new": (1.0, 1),
        "users_light": (1.0, 2),
        "users_heavy": (0.0, 1),
    }
    assert hits["users_new"].low is None


def test_targets_by_the_popularity_of_the_item(evaluated: tuple[World, Run]) -> None:
    # items 0 and 1 are the head; only user 3's target is among them
    head = figures(evaluated, "m1", "full", "test", "items_head")["hr", 1]
    tail = figures(evaluated, "m1", "full", "test", "items_tail")["hr", 1]
    assert (head.value, head.n) == (1.0, 1)
    assert_allclose((tail.value, tail.n), (2 / 3, 3))


def test_targets_that_train_knows_and_those_that_are_new_to_it(evaluated: tuple[World, Run]) -> None:
    # only item 4 of the targets was never taken in train: user 2's, at the second place
    warm, cold = (figures(evaluated, "m1", "full", "test", f"items_{kind}") for kind in ("warm", "cold"))
    assert (warm["hr", 1].value, warm["hr", 1].n) == (1.0, 3)
    assert (cold["hr", 1].value, cold["hr", 2].value, cold["hr", 1].n) == (0.0, 1.0, 1)
    # popularity has it tied with item 5 behind item 1, at the second or third place
    assert_allclose(figures(evaluated, "popularity", "full", "test", "items_cold")["hr", 2].value, 1 / 2)


def test_popularity_with_its_ties(evaluated: tuple[World, Run]) -> None:
    # of what is left of 3, 2, 1, 1, 0, 0: first; tied for first; tied for second; first
    of_test = figures(evaluated, "popularity", "full", "test", "all")
    assert_allclose(of_test["hr", 1].value, (1 + 1 / 2 + 0 + 1) / 4)
    assert_allclose(of_test["hr", 2].value, (1 + 1 + 1 / 2 + 1) / 4)
    assert ("unknown_users", None) not in of_test


def test_random_is_always_there(evaluated: tuple[World, Run]) -> None:
    world, _ = evaluated
    protocols = {key[1:3] for key in world.metrics() if key[0] == "random"}
    assert protocols == {(p, s) for p in ("sampled", "full") for s in ("validation", "test")}


def test_what_the_lists_look_like(evaluated: tuple[World, Run]) -> None:
    of_test = figures(evaluated, "m1", "full", "test", "all")
    # the first places are 3, 2, 5 and 0; items 2 and 3 had one of three users in train, 5 none, 0 all
    assert_allclose(of_test["coverage", 1].value, 4 / 6)
    assert_allclose(of_test["novelty", 1].value, 3 * math.log2(3) / 4)
    assert_allclose(of_test["popularity", 1].value, (1 / 3 + 1 / 3 + 0 + 1) / 4)
    # users 0 to 2 took items of mean popularity 5/6, 5/6 and 5/9; user 3 took none and does not count
    assert_allclose(of_test["popularity_bias", 1].value, (1 / 3 + 1 / 3 + 0) / (5 / 6 + 5 / 6 + 5 / 9))
    assert of_test["popularity_bias", 1].n == 3


def test_sampled_candidates(evaluated: tuple[World, Run]) -> None:
    # places of the targets: 1 of (3, 4, 5), 1 of (2, 3, 5), 2 of (4, 1, 5), and by popularity 1 of (0, 1, 4)
    of_test = figures(evaluated, "m1", "sampled", "test", "all")
    assert_allclose(of_test["hr", 1].value, 3 / 4)
    assert_allclose(of_test["ndcg", 2].value, (3 + SECOND) / 4)
    assert_allclose(of_test["auc", None].value, (1 + 1 + 1 / 2 + 1) / 4)


def test_losses(evaluated: tuple[World, Run]) -> None:
    # the unknown user has no probabilities; one positive beside two negatives, as in training
    pairs = [(5.0, 4.0, 1.0), (7.0, 1.0, 1.5), (2.0, 1.0, 6.0)]
    expected = log_loss([1, 0, 0] * 3, [sigmoid(logit) for pair in pairs for logit in pair])
    of_test = figures(evaluated, "m1", "sampled", "test", "all")
    assert_allclose(of_test["log_loss", None].value, expected, rtol=1e-6)
    assert_allclose(of_test["loss", None].value, expected, rtol=1e-6)
    # on validation each has one negative, which counts for two
    of_validation = figures(evaluated, "m1", "sampled", "validation", "all")
    weighted = log1pexp(-3) + 2 * log1pexp(1) + log1pexp(-2) + 2 * log1pexp(1)
    assert_allclose(of_validation["loss", None].value, weighted / 6, rtol=1e-6)
    # two rows of the first draw
    of_train = figures(evaluated, "m1", "sampled", "train", "all")
    trained = [(9.0, 4.0, 1.0), (8.0, 1.0, 2.0)]
    expected = log_loss([1, 0, 0] * 2, [sigmoid(logit) for pair in trained for logit in pair])
    assert_allclose(of_train["loss", None].value, expected, rtol=1e-6)
    assert ("loss", None) not in figures(evaluated, "popularity", "sampled", "test", "all")


def test_accuracy_at_the_threshold_of_validation(evaluated: tuple[World, Run]) -> None:
    # validation has the targets at 3 and 2 and the others at 1 and 1: the highest threshold that errs nowhere
    # is 2; on test that finds the targets at 5, 7, 2 and takes the others at 4 and 6 for targets too
    of_test = figures(evaluated, "m1", "sampled", "test", "all")
    assert_allclose(of_test["threshold", None].value, sigmoid(2.0))
    assert_allclose(of_test["accuracy", None].value, 7 / 9)
    assert_allclose(of_test["majority_accuracy", None].value, 6 / 9)
    assert of_test["accuracy", None].n == 9
    assert figures(evaluated, "m1", "sampled", "validation", "all")["accuracy", None].value == 1.0


def test_the_refit_is_measured_on_test_alone(evaluated: tuple[World, Run]) -> None:
    world, _ = evaluated
    assert {key[2] for key in world.metrics() if key[0] == "m1-refit"} == {"test"}
    # it knows user 3, whose target it puts last
    of_test = figures(evaluated, "m1-refit", "full", "test", "all")
    assert_allclose(of_test["hr", 1].value, 2 / 4)
    assert of_test["unknown_users", None].value == 0


def test_the_rows_are_stamped(evaluated: tuple[World, Run]) -> None:
    world, run = evaluated
    row = world.metrics()["m1", "full", "test", "all", "hr", 1]
    assert (row.run_id, row.model_name, row.dataset) == (run.run_id, "neumf", "tiny")
    assert run.counts["metrics"] == len(world.metrics())
    assert "sequences" not in run.tables.versions_read  # neither model nor baseline reads histories


def test_the_screen(evaluated: tuple[World, Run]) -> None:
    _, run = evaluated
    screen = "\n".join(run.notes)
    assert "test, targets among the whole catalogue (4 users" in screen
    for name in ("neumf", "neumf (refit)", "popularity", "random"):
        assert f"\n {name} " in screen
    assert "neumf does not know 1 of 4 test users" in screen
    assert "accuracy of neumf on test: 0.7778 at p >= 0.881 (the majority's answer: 0.6667)" in screen


@pytest.mark.slow
def test_again_replaces_what_it_measures_and_nothing_else(evaluated: tuple[World, Run], tmp_path: Path) -> None:
    world = evaluated[0].copied(tmp_path)
    before = world.metrics()
    elsewhere = ("m0", "neumf", "tiny", "full", "test", "all", "hr", 1, 0.5, None, None, 9)
    world.append(schemas.METRICS, [("r0", date(2024, 1, 1), *elsewhere)])
    # a newer model, of an older index that ends before item 4
    world.add_model("m2", "evaluate", [row[:4] for row in SCORES], created=NOON + timedelta(hours=1))
    DeltaTable(f"{world.root}/eval_examples").delete("part = 'validation'")
    # blocks of one user give the same figures
    again = world.evaluate("evaluate.block_bytes=1")
    after = world.metrics()
    for key, row in before.items():
        measured_again = key[0] in ("popularity", "random") and key[2] == "test"
        assert after[key].run_id == (again.run_id if measured_again else row.run_id)
        assert after[key].value == pytest.approx(row.value)
    assert {key[:3] for key in set(after) - set(before)} == {
        ("m2", "sampled", "train"),
        ("m2", "sampled", "test"),
        ("m2", "full", "test"),
    }
    table = world.spark.read.format("delta").load(f"{world.root}/metrics")
    assert {row.as_of_date for row in table.select("as_of_date").distinct().collect()} == {
        AS_OF,
        date(2024, 1, 1),
    }
    # user 2's target, item 4, is not in the older model
    of_all = {key[4:]: row.value for key, row in after.items() if key[:4] == ("m2", "full", "test", "all")}
    assert of_all["unranked_targets", None] == 1 / 4
    assert of_all["recall", 1] == 3 / 4
    assert of_all["coverage", 1] == 4 / 4
    # and without a validation part there is no threshold
    assert not any(key[0] == "m2" and key[4] == "accuracy" for key in after)
    assert any("no validation part" in note for note in again.notes)
    assert "25.0% of the test targets cannot be in neumf's lists" in "\n".join(again.notes)


def test_missing_things_name_the_job(world: World) -> None:
    with pytest.raises(MissingTableError, match=r"jobs/train\.py"):
        world.evaluate()
    world.add_model("m1", "production", SCORES)
    with pytest.raises(MissingTableError, match=r"fit=evaluate.*jobs/train\.py"):
        world.evaluate()
    world.add_model("m2", "evaluate", SCORES)
    shutil.rmtree(world.folder / "m2")
    with pytest.raises(UserError, match=r"m2.*no artifact.*jobs/train\.py"):
        world.evaluate()
    world.add_model("m3", "evaluate", [[1.0] * 7] * 3, created=NOON + timedelta(hours=1))
    with pytest.raises(UserError, match=r"m3 knows 7 items, table `items` has 6.*jobs/train\.py"):
        world.evaluate()
    run = world.run(as_of=date(2023, 1, 1))
    with pytest.raises(MissingTableError, match=r"as_of_date=2023-01-01.*jobs/features\.py"):
        evaluate(run, matrix_scorer.load)


def figures(evaluated: tuple[World, Run], model: str, protocol: str, split: str, segment: str) -> dict:
    world, _ = evaluated
    return {key[4:]: row for key, row in world.metrics().items() if key[:4] == (model, protocol, split, segment)}
