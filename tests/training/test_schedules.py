"""The learning rate over the steps, against values worked out by hand, and through a training."""

from __future__ import annotations

import dataclasses
from math import sqrt
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark import storage
from recsys_spark.config import load_config
from recsys_spark.training import loop
from recsys_spark.training.distributed import OneRank
from recsys_spark.training.optimizers import Adagrad, build_optimizer
from recsys_spark.training.schedules import build_schedule, constant, cosine, one_cycle
from recsys_spark.training.setup import build, total_steps

HIGH, LOW = (2 + sqrt(2)) / 4, (2 - sqrt(2)) / 4  # (1 + cos x) / 2 at an eighth of a turn, and at three
TRAINING = load_config().training


def factors(schedule: Any, steps: int) -> list[float]:
    in_graph = tf.function(schedule, input_signature=[tf.TensorSpec((), tf.float32)])
    return [float(in_graph(tf.constant(float(step)))) for step in range(1, steps + 1)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (constant(), [1, 1, 1]),
        (constant(4), [0.25, 0.5, 0.75, 1, 1, 1]),
        (cosine(4), [HIGH, 0.5, LOW, 0, 0]),
        (cosine(6, warmup_steps=2, final_share=0.2), [0.5, 1, 0.2 + 0.8 * HIGH, 0.6, 0.2 + 0.8 * LOW, 0.2, 0.2]),
        (cosine(2, warmup_steps=4), [0.25, 0.5]),
        (one_cycle(7, peak_share=0.6, div=4), [0.25, 0.5, 0.75, 1, HIGH, 0.5, LOW, LOW]),
        (one_cycle(2, peak_share=0.1, div=4), [1, 0.5]),
        (one_cycle(1, peak_share=0.3, div=25), [1, 1]),
    ],
)
def test_the_factor_of_each_step(schedule, expected):
    assert factors(schedule, len(expected)) == pytest.approx(expected, abs=1e-6)


@given(
    kind=st.sampled_from(["constant", "cosine", "one_cycle"]),
    total=st.integers(1, 60),
    warmup=st.integers(0, 20),
    share=st.floats(0.01, 0.99),
    div=st.floats(1, 1000),
)
def test_a_factor_is_a_share_and_rises_before_it_falls(kind, total, warmup, share, div):
    changes = {
        "schedule": kind,
        "warmup_steps": warmup,
        "final_rate_share": share,
        "one_cycle_peak_share": share,
        "one_cycle_div": div,
    }
    schedule = build_schedule(TRAINING.model_copy(update=changes), total)
    taken = np.array([float(schedule(tf.constant(float(step)))) for step in range(1, total + 1)])
    assert (taken > 0).all() and (taken <= 1 + 1e-6).all()
    turn = int(taken.argmax())
    assert (np.diff(taken[: turn + 1]) >= -1e-6).all() and (np.diff(taken[turn:]) <= 1e-6).all()
    assert taken.max() == pytest.approx(1.0) or total <= warmup or (kind == "cosine" and warmup == 0)


def test_an_optimizer_moves_by_the_rate_times_the_factor():
    weight = tf.Variable(0.0)
    optimizer = build_optimizer("adagrad", 2.0, one_cycle(7, peak_share=0.6, div=4))
    optimizer.build([weight])
    apply = tf.function(optimizer.apply)
    moved, accumulated = [], 0.1
    for _ in range(7):
        before = float(weight)
        apply([tf.constant(3.0)])
        accumulated += 9.0
        moved.append((before - float(weight)) * accumulated**0.5 / 3.0)
    np.testing.assert_allclose(moved, [0.5, 1.0, 1.5, 2.0, 2 * HIGH, 1.0, 2 * LOW], rtol=1e-4)


def test_an_optimizer_that_takes_over_the_state_takes_over_the_place_in_the_schedule():
    first, second = (Adagrad(1.0, cosine(4)) for _ in range(2))
    for optimizer in (first, second):
        optimizer.build([tf.Variable(0.0)])
    for _ in range(2):
        first.apply([tf.constant(1.0)])
    for target, source in zip(second.variables, first.variables, strict=True):
        target.assign(source)
    weight = tf.Variable(0.0)
    second._targets = [(weight, second._targets[0][1])]
    second.apply([tf.constant(1.0)])
    assert float(weight) == pytest.approx(-LOW / 3.1**0.5, rel=1e-5)  # 0.1 and three gradients of 1


def test_the_steps_are_those_of_all_configured_epochs_and_draws(make_job):
    job = make_job("training.epochs=3", epochs=1)
    files = job.draws[0]
    rows, of_two = sum(file.rows for file in files), files[0].rows + files[1].rows
    assert total_steps(job, ranks=1) == 3 * (rows // 64)
    two_draws = dataclasses.replace(job, draws=(files, files[:2]))
    assert total_steps(two_draws, ranks=1) == 2 * (rows // 64) + of_two // 64
    assert total_steps(two_draws, ranks=2) < total_steps(two_draws, ranks=1)


@pytest.mark.slow
def test_a_training_that_goes_on_takes_the_rates_it_would_have_taken(make_job):
    settings = ("training.epochs=3", "training.schedule=one_cycle", "training.patience=0")
    whole = loop.fit(make_job(*settings, checkpoint="whole"), OneRank())
    loop.fit(make_job(*settings, epochs=1, checkpoint="stopped"), OneRank())
    resumed = loop.fit(make_job(*settings, checkpoint="stopped"), OneRank())
    assert [epoch.loss for epoch in resumed.history] == pytest.approx([e.loss for e in whole.history], rel=1e-4)
    constant_rate = loop.fit(make_job(*settings, "training.schedule=constant", checkpoint="constant"), OneRank())
    assert constant_rate.history[-1].loss != pytest.approx(whole.history[-1].loss, rel=1e-3)
    for one, other in zip(*(storage.load_arrays(fit.weights).values() for fit in (whole, resumed)), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_the_configured_clipping_reaches_the_steps(make_job):
    """Adagrad's accumulators, 0.1 at the start, hold the squares of one step's gradients."""

    def norm(clip_norm: float) -> float:
        model, trainer = build(make_job("training.optimizer=adagrad", f"training.clip_norm={clip_norm}"), OneRank())
        trainer.steps(tf.constant(np.random.default_rng(0).integers(0, 20, (1, 64, 4)), tf.int32))
        accumulated = trainer.variables[len(model.weights) + 2 :]
        return sqrt(sum(float(np.sum(np.asarray(each, np.float64) - 0.1)) for each in accumulated))

    whole = norm(0.0)
    assert norm(0.5 * whole) == pytest.approx(0.5 * whole, rel=0.01)
    assert norm(2.0 * whole) == pytest.approx(whole, rel=0.01)
