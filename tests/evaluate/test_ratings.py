"""RMSE and MAE against scikit-learn, biases against a loop, and the stage's rows worked out by hand."""

from __future__ import annotations

from collections import defaultdict
from math import sqrt
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from numpy.testing import assert_allclose
from pyspark.sql import SparkSession
from sklearn.metrics import mean_absolute_error, mean_squared_error

from recsys_spark.errors import UserError
from recsys_spark.evaluate.biases import ItemBiases, TrainValues, item_biases, train_values, with_user_bias
from recsys_spark.evaluate.measures import MetricRow, user_rows
from recsys_spark.evaluate.ratings import ERRORS, rating_baselines, ratings_pass, root_of_squares
from recsys_spark.evaluate.report import report
from recsys_spark.evaluate.stage import evaluate
from recsys_spark.evaluate.subjects import Subject
from recsys_spark.evaluate.summary import summarised
from recsys_spark.models.users import Users
from tests.evaluate import matrix_scorer
from tests.evaluate.conftest import SCORES, World
from tests.evaluate.matrix_scorer import MatrixScorer
from tests.evaluate.test_passes import make_plan

N_USERS, N_ITEMS = 30, 20
MEAN = 3.2


class RatingScorer(MatrixScorer):
    predicts_ratings = True


def load_ratings(path: str) -> RatingScorer:
    return RatingScorer(matrix_scorer.load(path).all_scores(Users.without_history(np.arange(3))))


@pytest.fixture
def held_out() -> list[dict[str, Any]]:
    """Users with up to six test targets, of which about every fifth has no value."""
    random = np.random.default_rng(3)
    rows = []
    for user in range(N_USERS):
        targets = np.sort(random.permutation(N_ITEMS)[: user % 7])
        values = [None if random.random() < 0.2 else float(random.integers(1, 6)) for _ in targets]
        bias = float(random.normal())
        rows.append({"user_idx": user, "targets": targets.tolist(), "values": values, "user_bias": bias})
    return rows


def batch(rows: list[dict[str, Any]], part: str = "test") -> pa.RecordBatch:
    kinds = {"user_idx": pa.int32(), "targets": pa.list_(pa.int32()), "values": pa.list_(pa.float64())}
    columns = {name: pa.array([row[name] for row in rows], kinds.get(name)) for name in rows[0]}
    same = {"part": pa.array([part] * len(rows)), "user_segment": pa.array(["users_light"] * len(rows))}
    return pa.RecordBatch.from_pydict({**columns, **same})


def measured(scorer: MatrixScorer, batches: list[pa.RecordBatch], of_item: np.ndarray, **changes: Any) -> pa.Table:
    plan = make_plan(scorer, **changes)
    shared: Any = SimpleNamespace(value=ItemBiases(MEAN, of_item))
    return pa.Table.from_batches(ratings_pass(plan, rating_baselines(("validation", "test")), shared)(batches))


def test_errors_agree_with_scikit_learn(spark: SparkSession, held_out: list[dict[str, Any]]) -> None:
    random = np.random.default_rng(4)
    # the model is older than the last four users and the last three items
    matrix = random.uniform(1, 5, (N_USERS - 4, N_ITEMS - 3)).astype(np.float32)
    of_item = random.normal(size=N_ITEMS)
    users = batch(held_out)
    rows = measured(RatingScorer(matrix), [users.slice(0, 11), users.slice(11)], of_item, block_users=4)
    frame = spark.createDataFrame(rows.to_pandas().replace({np.nan: None}), user_rows(ERRORS))
    found = {
        (row.model_version, row.metric): root_of_squares(
            MetricRow("", "", "", "", row.metric, None, row.value, 0, 0, 0)
        )
        for row in frame.transform(summarised(ERRORS)).where("segment = 'all'").collect()
    }
    pairs = [
        (row["user_idx"], item, value, row["user_bias"])
        for row in held_out
        for item, value in zip(row["targets"], row["values"], strict=True)
        if value is not None
    ]
    true = [value for _, _, value, _ in pairs]
    by_biases = [MEAN + bias + of_item[item] for _, item, _, bias in pairs]
    predicted = {
        "global_mean": [MEAN] * len(pairs),
        "biases": by_biases,
        "m1": [
            matrix[user, item] if user < N_USERS - 4 and item < N_ITEMS - 3 else fallback
            for (user, item, _, _), fallback in zip(pairs, by_biases, strict=True)
        ],
    }
    assert {model for model, _ in found} == set(predicted)
    for model, values in predicted.items():
        squares, absolute = found[model, "mse"], found[model, "mae"]
        assert (squares.metric, absolute.metric) == ("rmse", "mae")
        assert_allclose(squares.value, sqrt(mean_squared_error(true, values)), rtol=1e-6)
        assert_allclose(absolute.value, mean_absolute_error(true, values), rtol=1e-6)


def test_users_without_a_value_do_not_count(held_out: list[dict[str, Any]]) -> None:
    rows = measured(RatingScorer(np.ones((N_USERS, N_ITEMS))), [batch(held_out)], np.zeros(N_ITEMS)).to_pylist()
    with_value = {row["user_idx"] for row in held_out if any(value is not None for value in row["values"])}
    assert {row["user_idx"] for row in rows if row["pairs"] is not None} == with_value
    assert len(with_value) < N_USERS


def test_only_models_that_predict_ratings_and_only_on_their_parts_have_rows(held_out: list[dict[str, Any]]) -> None:
    def models(scorer: MatrixScorer, part: str) -> set[str]:
        refit = Subject("m1-refit", "matrix", "refit", ("test",), "somewhere")
        rows = measured(scorer, [batch(held_out, part)], np.zeros(N_ITEMS), subjects=[refit])
        return set(rows.column("model_version").to_pylist())

    ones, baselines = np.ones((N_USERS, N_ITEMS)), {"global_mean", "biases"}
    assert models(MatrixScorer(ones), "test") == baselines
    assert models(RatingScorer(ones), "validation") == baselines
    assert models(RatingScorer(ones), "test") == {*baselines, "m1-refit"}


def test_a_prediction_that_is_no_number_stops_the_evaluation(held_out: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="m1 predicts NaN"):
        measured(RatingScorer(np.full((N_USERS, N_ITEMS), np.nan)), [batch(held_out)], np.zeros(N_ITEMS))


def test_biases_are_those_of_a_loop(spark: SparkSession) -> None:
    random = np.random.default_rng(5)
    pairs = [(u, i, float(random.integers(1, 6))) for u in range(8) for i in range(6) if random.random() < 0.5]
    mean, shrinkage = float(np.mean([value for *_, value in pairs])), 2.0
    of_item: dict[int, list[float]] = defaultdict(list)
    for _, item, value in pairs:
        of_item[item].append(value - mean)
    expected_items = {item: sum(rest) / (len(rest) + shrinkage) for item, rest in of_item.items()}
    of_user: dict[int, list[float]] = defaultdict(list)
    for user, item, value in pairs:
        of_user[user].append(value - mean - expected_items[item])
    expected_users = {user: sum(rest) / (len(rest) + shrinkage) for user, rest in of_user.items()}

    values = TrainValues(spark.createDataFrame(pairs, "user_idx int, item_idx int, value double"), mean, shrinkage)
    found = item_biases(values, 9, 1 << 20)
    assert found.mean == mean
    assert_allclose(found.of_item, [expected_items.get(item, 0.0) for item in range(9)])
    users = spark.range(10).selectExpr("int(id) user_idx").transform(with_user_bias(values)).collect()
    assert {row.user_idx: row.user_bias for row in users} == pytest.approx(
        {user: expected_users.get(user, 0.0) for user in range(10)}
    )


@pytest.mark.slow
def test_the_stage_writes_and_shows_the_errors(world: World) -> None:
    world.add_model("m1", "evaluate", SCORES)
    run = world.run("evaluate.protocols=[ratings]", "evaluate.bias_shrinkage=0")
    evaluate(run, load_ratings)
    found = {key: row for key, row in world.metrics().items() if key[3] == "all"}
    # on validation no target has a value
    assert {key[:3] for key in found} == {(model, "ratings", "test") for model in ("m1", "global_mean", "biases")}
    # the train values 5, 3; 4, 1; 5, 2 have the mean 10/3; the test's are 4, 1 and 5
    of_mean = found["global_mean", "ratings", "test", "all", "rmse", None]
    assert_allclose(of_mean.value, sqrt(((2 / 3) ** 2 + (7 / 3) ** 2 + (5 / 3) ** 2) / 3))
    assert (of_mean.n, of_mean.model_name) == (3, "global_mean")
    squares = np.array([(2 / 3) ** 2, (7 / 3) ** 2, (5 / 3) ** 2])
    assert_allclose(of_mean.high**2, squares.mean() + 1.959964 * squares.std(ddof=1) / sqrt(3))
    # items 0, 1 and 2 have the biases 4/3, -4/3 and -4/3, item 3 none; users 0 and 1 then 2/3 and -5/6, user 3 none
    errors = [10 / 3 + 2 / 3 - 4, 10 / 3 - 5 / 6 - 4 / 3 - 1, 10 / 3 + 4 / 3 - 5]
    assert_allclose(found["biases", "ratings", "test", "all", "mae", None].value, np.abs(errors).mean())
    # the model scores 5 and 7, and does not know user 3
    errors = [5 - 4, 7 - 1, errors[2]]
    assert_allclose(found["m1", "ratings", "test", "all", "mae", None].value, np.abs(errors).mean())
    screen = "\n".join(run.notes)
    assert "test, predicted values of the targets (3 users" in screen
    for name in ("neumf", "global_mean", "biases"):
        assert f"\n {name} " in screen
    assert "popularity" not in screen and "predicts no values" not in screen


def test_a_model_that_predicts_no_ratings_is_named() -> None:
    model = Subject("m1", "matrix", "evaluate", ("test",), "somewhere")
    row = MetricRow("biases", "ratings", "test", "all", "rmse", None, 0.94, 0.93, 0.95, 9)
    screen = "\n".join(report([row], [model, *rating_baselines(("test",))], [10], "metrics"))
    assert "matrix ranks and predicts no values: it has no RMSE and MAE" in screen
    assert "\n biases " in screen and "0.9400 [0.930, 0.950]" in screen


def test_without_values_the_protocol_is_refused(world: World) -> None:
    DeltaTable(f"{world.root}/interactions").update(updates={"train_value": "NULL"})
    with pytest.raises(UserError, match=r"protocols has `ratings`, but no train event up to 2024-01-31 has"):
        train_values(world.run())
