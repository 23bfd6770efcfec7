"""Off-policy estimates: by hand, in expectation over all draws, and against bad logs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from recsys_spark.errors import UserError
from recsys_spark.experiments.effects import ratio
from recsys_spark.experiments.moments import Moments
from recsys_spark.experiments.off_policy import compared, estimates, sums

LOG = "user_id string, reward double, propensity double, target double, predicted double, predicted_target double"
# user a: two rows, b and c one each
ROWS = [
    ("a", 1.0, 0.5, 1.0, 0.4, 0.4),
    ("a", 0.0, 0.5, 0.0, 0.1, 0.4),
    ("b", 1.0, 0.25, 0.0, 0.2, 0.3),
    ("c", 2.0, 0.8, 0.4, 1.0, 0.7),
]


def test_estimates_by_hand(spark):
    """Weights are 2, 0, 0 and 0.5."""
    found = {one.estimator: one for one in estimates(spark.createDataFrame(ROWS, LOG))}
    assert found["ips"].value == pytest.approx((2 * 1 + 0.5 * 2) / 4)
    assert found["snips"].value == pytest.approx((2 * 1 + 0.5 * 2) / 2.5)
    corrected = [0.4 + 2 * 0.6, 0.4, 0.3, 0.7 + 0.5 * 1.0]
    assert found["doubly_robust"].value == pytest.approx(sum(corrected) / 4)
    assert found["weight"].value == pytest.approx(2.5 / 4)
    by_user = np.array([[2.0, 2.0], [0.0, 1.0], [1.0, 1.0]])  # earned and rows of a, b and c
    errors = by_user[:, 0] - 0.75 * by_user[:, 1]
    half = 1.959964 * np.sqrt(errors.var(ddof=1) / 3) / by_user[:, 1].mean()
    assert (found["ips"].low, found["ips"].high) == (pytest.approx(0.75 - half), pytest.approx(0.75 + half))
    assert {one.users for one in found.values()} == {3}


def test_without_a_model_there_is_no_doubly_robust_estimate(spark):
    log = spark.createDataFrame(ROWS, LOG).drop("predicted", "predicted_target")
    assert [one.estimator for one in estimates(log)] == ["ips", "snips", "weight"]


def test_ips_and_doubly_robust_are_right_on_average_over_everything_that_may_be_logged(spark):
    """Two users, three items each: all nine logs, weighted by their probabilities. The model is bad on purpose."""
    old, new, reward, model = [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.2, 1.0, 3.0], [5.0, -1.0, 0.5]
    truth = sum(p * r for p, r in zip(new, reward, strict=True))
    thought = sum(p * m for p, m in zip(new, model, strict=True))
    logs, chances = [], {}
    for number, items in enumerate(product(range(3), repeat=2)):
        chances[number] = old[items[0]] * old[items[1]]
        logs += [(number, str(user), reward[i], old[i], new[i], model[i], thought) for user, i in enumerate(items)]
    frame = spark.createDataFrame(logs, f"log int, {LOG}")
    mean: dict[str, float] = dict.fromkeys(["ips", "snips", "doubly_robust", "weight"], 0.0)
    for row in sums(frame, by=["log"]).collect():
        mean[row["estimator"]] += chances[row["log"]] * ratio(Moments.of_row(row))[0]
    assert sum(chances.values()) == pytest.approx(1.0)
    assert mean["ips"] == pytest.approx(truth)
    assert mean["doubly_robust"] == pytest.approx(truth)
    assert mean["weight"] == pytest.approx(1.0)
    assert mean["snips"] != pytest.approx(truth, rel=0.01)  # biased in so small a log, as is known


def test_lists_beside_each_other(spark):
    shown = spark.createDataFrame(
        [("u", 1, "a", 1.0), ("u", 2, "b", 0.5), ("v", 1, "a", 0.2)],
        "user_id string, rank int, item_id string, propensity double",
    )
    new = spark.createDataFrame(
        [("u", 1, "a"), ("u", 2, "c"), ("v", 1, "a"), ("w", 1, "a")], "user_id string, rank int, item_id string"
    )
    rewards = spark.createDataFrame(
        [("u", "b", 1.5), ("u", "b", 0.5), ("v", "a", 1.0)], "user_id string, item_id string, reward double"
    )
    values = spark.createDataFrame([("a", 0.3), ("c", 0.1)], "item_id string, value double")
    rows = compared(shown, new, rewards, values).orderBy("user_id", "rank")
    assert [tuple(row) for row in rows.select(*[part.split()[0] for part in LOG.split(", ")]).collect()] == [
        ("u", 0.0, 1.0, 1.0, 0.3, 0.3),
        ("u", 2.0, 0.5, 0.0, 0.0, 0.1),
        ("v", 1.0, 0.2, 1.0, 0.3, 0.3),
    ]


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.5, None, float("nan")])
def test_a_log_without_propensities_is_refused(spark, propensity):
    rows = [*ROWS, ("d", 1.0, propensity, 1.0, 0.0, 0.0)]
    with pytest.raises(UserError, match="1 rows of the log have no propensity over 0 and at most 1"):
        estimates(spark.createDataFrame(rows, LOG))


def test_one_user_tells_nothing(spark):
    with pytest.raises(UserError, match="fewer than two users"):
        estimates(spark.createDataFrame(ROWS[:2], LOG))
