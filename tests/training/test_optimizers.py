"""Adam and Adagrad, dense and lazy, against loops over numbers; and the step around them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.models import binary_cross_entropy, build_model
from recsys_spark.training.optimizers import (
    Adagrad,
    Adam,
    Optimizer,
    build_optimizer,
    cheaper_to_exchange,
    densify,
    make_step,
)
from recsys_spark.training.schedules import constant

SEED = tf.zeros(2, tf.int64)

SHAPE = (6, 2)
ROWS = [[4, 1, 4], [0, 4, 4], [1, 1, 1], [5, 0, 2]]  # of four steps, with repeats; row 3 never


def slices(rows: list[int], values: Any, height: int = 6) -> Any:
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(rows), tf.constant([height, SHAPE[1]]))


def adam_by_number(weight: float, gradients: list[tuple[int, float]]) -> float:
    """One weight through Adam's recursion; `gradients` are (step, gradient) of the steps that it takes part in."""
    m = v = 0.0
    for step, g in gradients:
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        rate = 0.05 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
        weight -= rate * m / (v**0.5 + 1e-7)
    return weight


def adagrad_by_number(weight: float, gradients: list[tuple[int, float]]) -> float:
    accumulated = 0.1
    for _, g in gradients:
        accumulated += g * g
        weight -= 0.05 * g / (accumulated**0.5 + 1e-7)
    return weight


RULES = [(Adam, adam_by_number), (Adagrad, adagrad_by_number)]


@pytest.mark.parametrize(("rule", "by_number"), RULES)
def test_dense_gradients_get_the_ordinary_update(rule: type[Optimizer], by_number: Any) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=SHAPE)
    gradients = rng.normal(size=(5, *SHAPE))
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer = rule(learning_rate=0.05)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, tf.float32)])
    for place in np.ndindex(SHAPE):
        expected = by_number(start[place], list(enumerate(gradients[(slice(None), *place)], start=1)))
        assert variable.numpy()[place] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("rule", "by_number"), RULES)
def test_rows_are_updated_only_in_the_steps_that_have_them(rule: type[Optimizer], by_number: Any) -> None:
    rng = np.random.default_rng(1)
    start = rng.normal(size=SHAPE)
    values = rng.normal(size=(len(ROWS), 3, SHAPE[1]))
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer = rule(learning_rate=0.05)
    optimizer.build([variable])
    apply = tf.function(optimizer.apply)
    for rows, value in zip(ROWS, values, strict=True):
        apply([slices(rows, value)])
    for row, column in np.ndindex(SHAPE):
        summed = [
            (step, sum(value[place, column] for place, other in enumerate(rows) if other == row))
            for step, (rows, value) in enumerate(zip(ROWS, values, strict=True), start=1)
            if row in rows
        ]
        assert variable.numpy()[row, column] == pytest.approx(by_number(start[row, column], summed), abs=1e-5)


@pytest.mark.parametrize("rule", [Adam, Adagrad])
def test_other_rows_stay_the_same_to_the_bit(rule: type[Optimizer]) -> None:
    rng = np.random.default_rng(2)
    variable = tf.Variable(rng.normal(size=(1000, 2)), dtype=tf.float32)
    optimizer = rule(learning_rate=0.1)
    optimizer.build([variable])
    optimizer.apply([tf.constant(rng.normal(size=(1000, 2)), tf.float32)])
    before = [np.array(array) for array in (variable, *optimizer.variables[2:])]
    optimizer.apply([slices([7, 500, 7], np.ones((3, 2)), height=1000)])
    others = np.setdiff1d(np.arange(1000), [7, 500])
    for old, new in zip(before, (variable, *optimizer.variables[2:]), strict=True):
        np.testing.assert_array_equal(np.array(new)[others], old[others])
        assert (np.array(new)[[7, 500]] != old[[7, 500]]).all()


def test_a_step_of_rows_reads_and_writes_no_whole_table() -> None:
    """In the step's graph no tensor is as high as a table, and ops on tables and their moments take rows of them."""
    users, items = 30_011, 20_011
    model = build_model("neumf", {"l2": 0.1, "dropout": 0.1}, users, items)
    optimizer = Adam(clip_norm=1.0)
    optimizer.build(model.trainable_variables)
    step = tf.function(make_step(model, optimizer, dense_rows=1000))
    batch = {"user": tf.TensorSpec((8,), tf.int32), "items": tf.TensorSpec((8, 5), tf.int32)}
    graph = step.get_concrete_function(batch, SEED).graph
    tables = [v.value for v in model.weights] + optimizer.variables
    handles = {id(table.handle) for table in tables if table.shape[:1] in ([users], [items])}
    captured = {internal.ref() for external, internal in graph.captures if id(external) in handles}
    assert len(captured) == len(handles) == 4 * 3
    on_tables = set()
    for op in graph.get_operations():
        assert not {users, items} & {size for output in op.outputs if output.shape.rank for size in output.shape}, op
        on_tables |= {op.type} if captured & {each.ref() for each in op.inputs} else set()
    assert on_tables == {"ResourceGather", "ResourceScatterUpdate", "ResourceScatterSub"}


def test_warm_up_grows_the_rate_to_its_full_size() -> None:
    weight = tf.Variable(0.0)
    optimizer = Adagrad(learning_rate=1.0, schedule=constant(warmup_steps=4))
    optimizer.build([weight])
    moved, accumulated = [], 0.1
    for _ in range(6):
        before = float(weight)
        optimizer.apply([tf.constant(2.0)])
        accumulated += 4.0
        moved.append((before - float(weight)) * (accumulated**0.5) / 2.0)
    np.testing.assert_allclose(moved, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0], rtol=1e-5)


def test_the_rate_may_be_set_at_any_time() -> None:
    weight = tf.Variable(0.0)
    optimizer = Adam(learning_rate=0.5)
    optimizer.build([weight])
    apply = tf.function(optimizer.apply)
    apply([tf.constant(3.0)])
    assert float(weight) == pytest.approx(-0.5, abs=1e-5)  # Adam's first step is the rate, whatever the gradient
    optimizer.learning_rate.assign(0.0)
    apply([tf.constant(3.0)])
    assert float(weight) == pytest.approx(-0.5, abs=1e-5)


def test_clipping_is_by_the_norm_over_all_variables_with_repeats_summed() -> None:
    table, bias = tf.Variable(tf.zeros((3, 1))), tf.Variable(tf.zeros(1))
    optimizer = Adagrad(learning_rate=1.0, clip_norm=1.0)
    optimizer.build([table, bias])
    rows = tf.IndexedSlices(tf.constant([[1.0], [2.0]]), tf.constant([2, 2]), tf.constant([3, 1]))
    optimizer.apply([rows, tf.constant([4.0])])  # norm of (3, 4) is 5, so the gradients become 0.6 and 0.8
    np.testing.assert_allclose(table, [[0], [0], [-0.6 / (0.1 + 0.36) ** 0.5]], rtol=1e-5)
    np.testing.assert_allclose(bias, [-0.8 / (0.1 + 0.64) ** 0.5], rtol=1e-5)


def test_gradients_within_the_norm_stay_as_they_are() -> None:
    table, bias = tf.Variable(tf.zeros((3, 1))), tf.Variable(tf.zeros(1))
    optimizer = build_optimizer("adagrad", 1.0, clip_norm=5.1)
    optimizer.build([table, bias])
    rows = tf.IndexedSlices(tf.constant([[3.0]]), tf.constant([2]), tf.constant([3, 1]))
    tf.function(optimizer.apply)([rows, tf.constant([4.0])])
    np.testing.assert_allclose(table, [[0], [0], [-3.0 / (0.1 + 9.0) ** 0.5]], rtol=1e-5)
    np.testing.assert_allclose(bias, [-4.0 / (0.1 + 16.0) ** 0.5], rtol=1e-5)


def test_its_variables_are_all_its_state() -> None:
    rng = np.random.default_rng(3)
    gradients = [tf.constant(rng.normal(size=SHAPE), tf.float32) for _ in range(6)]
    whole, resumed = (tf.Variable(tf.ones(SHAPE)) for _ in range(2))
    through, first, second = (Adam(rate, constant(10)) for rate in (0.1, 0.1, 0.9))
    through.build([whole])
    first.build([resumed])
    for gradient in gradients[:3]:
        first.apply([gradient])
    second.build([resumed])
    for target, source in zip(second.variables, first.variables, strict=True):
        target.assign(source)
    for gradient in gradients[3:]:
        second.apply([gradient])
    for gradient in gradients:
        through.apply([gradient])
    np.testing.assert_array_equal(resumed, whole)


def test_a_variable_without_gradient_is_named() -> None:
    optimizer = Adam()
    optimizer.build([tf.Variable(0.0, name="used"), tf.Variable(0.0, name="lonely")])
    with pytest.raises(ValueError, match="no gradient for lonely"):
        optimizer.apply([tf.constant(1.0), None])


def test_an_unknown_optimizer_is_named() -> None:
    assert isinstance(build_optimizer("adam", 0.1), Adam)
    assert isinstance(build_optimizer("adagrad", 0.1), Adagrad)
    with pytest.raises(ValueError, match="'sgd', expected adam or adagrad"):
        build_optimizer("sgd", 0.1)


def test_densify_makes_small_tables_dense_and_leaves_large_ones() -> None:
    small, large = tf.Variable(tf.zeros((6, 2))), tf.Variable(tf.zeros((7, 2)))
    values = [[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]]
    given = [slices([4, 0, 4], values), slices([4, 0, 4], values, height=7)]
    dense, sparse = densify(given, [small, large], dense_rows=6)
    np.testing.assert_allclose(dense, [[3, 4], [0, 0], [0, 0], [0, 0], [11, 22], [0, 0]])
    assert sparse is given[1]


@pytest.mark.parametrize(("dense_rows", "ranks"), [(0, 1), (100, 1), (100, 100)])
def test_the_step_is_the_loss_and_its_gradients(dense_rows: int, ranks: int) -> None:
    """Against Keras's own Adam, on a batch that meets every row, so that lazy and dense agree."""
    batch = {"user": tf.range(6), "items": tf.constant([[k, (k + 1) % 5, (k + 2) % 5] for k in [0, 1, 2, 3, 4, 0]])}
    ours, theirs = (build_model("neumf", {"seed": 1}, 6, 5) for _ in range(2))
    optimizer, reference = Adam(0.01), keras.optimizers.Adam(0.01)
    optimizer.build(ours.trainable_variables)
    seen: list[Any] = []

    def average(gradients: list[Any]) -> list[Any]:
        seen.extend(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
        return gradients

    step = tf.function(make_step(ours, optimizer, dense_rows, average, ranks))
    for _ in range(5):
        loss = step(batch, SEED)
        with tf.GradientTape() as tape:
            expected = binary_cross_entropy(theirs(batch))
        gradients = tape.gradient(expected, theirs.trainable_variables)
        # dense: Keras's Adam squares the slices of a repeated row one by one
        reference.apply([tf.convert_to_tensor(each) for each in gradients], theirs.trainable_variables)
        assert float(loss) == pytest.approx(float(expected), rel=1e-4)
    assert any(seen) is (ranks == 1)  # many ranks exchange tables so small as a whole
    for variable, other in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), other.numpy(), rtol=1e-2, atol=1e-5)


def test_averaging_comes_between_gradients_and_update() -> None:
    model = build_model("gmf", {}, 4, 4)
    optimizer = Adam()
    optimizer.build(model.trainable_variables)
    before = model.arrays()
    step = make_step(
        model, optimizer, 100, average=lambda gradients: [0.0 * tf.convert_to_tensor(each) for each in gradients]
    )
    step({"user": tf.constant([0, 1]), "items": tf.constant([[0, 1], [2, 3]])}, SEED)
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_float16_is_refused() -> None:
    with pytest.raises(ValueError, match="mixed_bfloat16"):
        make_step(build_model("gmf", {"dtype": "mixed_float16"}, 4, 4), Adam())


def test_a_gradient_is_exchanged_in_the_smaller_of_its_forms() -> None:
    dense = tf.zeros(SHAPE)
    of_three_rows = slices([4, 1, 4], np.ones((3, 2)))  # of a table of six

    def is_sparse(ranks: int) -> list[bool]:
        chosen = cheaper_to_exchange([dense, of_three_rows], [dense, dense], ranks)
        return [isinstance(gradient, tf.IndexedSlices) for gradient in chosen]

    assert is_sparse(1) == [False, True]  # nothing is exchanged
    assert is_sparse(4) == [False, True]  # gathered 4 x 3 rows, reduced 2 x 6: alike
    assert is_sparse(5) == [False, False]
    summed = cheaper_to_exchange([of_three_rows], [dense], 5)[0]
    np.testing.assert_array_equal(summed.numpy()[:, 0], [0, 1, 0, 0, 2, 0])
