"""A job's model and what trains it, built on a rank."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.feed.shards import plan_epoch
from recsys_spark.feed.side import encoded, item_counts
from recsys_spark.hashing import hash_of
from recsys_spark.models import build_model
from recsys_spark.training.checkpoint import set_weights
from recsys_spark.training.distributed import Ranks
from recsys_spark.training.growth import go_on_from
from recsys_spark.training.job import Job, ModelSpec
from recsys_spark.training.optimizers import build_optimizer, make_step
from recsys_spark.training.schedules import build_schedule

_HALVES = ("gmf", "mlp")


class Trainer:
    """The compiled steps of one model on one rank, and what they keep count of without leaving the graph.

    `steps` takes a stack of batches (m, B, width): m steps in one call, which costs less than m calls. What a model draws
    in a step hangs on the seed, the rank and the number of the step since the training began.
    """

    def __init__(self, model: Any, job: Job, ranks: Ranks) -> None:
        import tensorflow as tf

        training = job.training
        rate = job.learning_rate * ranks.size  # linear scaling (Goyal et al. 2017), with warm-up where configured
        schedule = build_schedule(training, total_steps(job, ranks.size))
        self._optimizer = build_optimizer(training.optimizer, rate, schedule, training.clip_norm)
        self._optimizer.build(model.trainable_variables)
        self._model = model
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._loss_sum = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._first_bad = tf.Variable(0, dtype=tf.int64, trainable=False)
        inner = make_step(model, self._optimizer, training.dense_rows, ranks.average, ranks.size)

        layout, stream = job.layout, tf.constant(int(hash_of(job.seed, ranks.rank)[0] >> np.uint64(1)), tf.int64)

        @tf.autograph.experimental.do_not_convert
        def step(batch: Any) -> None:
            loss = inner(layout.batch(batch), tf.stack([stream, self._optimizer.step]))
            number = self._steps.assign_add(1)
            self._loss_sum.assign_add(tf.cast(loss, tf.float64))
            is_first_bad = tf.logical_and(tf.equal(self._first_bad, 0), ~tf.math.is_finite(loss))
            self._first_bad.assign(tf.where(is_first_bad, number, self._first_bad))

        def steps(stack: Any) -> None:
            for place in tf.range(tf.shape(stack)[0]):
                step(stack[place])

        self.steps: Any = tf.function(steps, reduce_retracing=True)

    @property
    def variables(self) -> list[Any]:
        """Weights and optimizer state: all that a checkpoint keeps and ranks must agree on."""
        return [*(variable.value for variable in self._model.weights), *self._optimizer.variables]

    def set_rate(self, rate: float) -> None:
        """Take the steps from here on at another learning rate, under the same schedule."""
        self._optimizer.learning_rate.assign(rate)

    def start_epoch(self) -> None:
        """Forget the steps counted so far."""
        for counter in (self._steps, self._loss_sum, self._first_bad):
            counter.assign(counter.dtype.as_numpy_dtype(0))

    def agree(self, ranks: Ranks) -> None:
        """Take the mean over ranks of what steps moved without gradients, which each rank's own data moved its own way."""
        moved = list(self._model.running_statistics())
        if moved and ranks.size > 1:
            means = ranks.average([variable.value for variable in moved])
            for variable, mean in zip(moved, means, strict=True):
                variable.assign(mean)

    def mean_loss(self) -> float:
        """The mean loss of the epoch's steps on this rank."""
        return float(self._loss_sum) / max(1, int(self._steps))

    def first_bad_step(self) -> int:
        """The first step, from 1, whose loss was not finite; 0 where there was none."""
        return int(self._first_bad)


def build(job: Job, ranks: Ranks) -> tuple[Any, Trainer]:
    """The job's model, from its pretrained halves or an earlier model where it has one, and its trainer."""
    model = _built(job.model, job.training.mixed_precision)
    for side, files, index in (
        (model.user_side, job.user_encoded, c.USER_IDX),
        (model.item_side, job.item_encoded, c.ITEM_IDX),
    ):
        if side is not None:
            side.fill(*encoded(files, index, side.n_rows))
    if job.warm:
        go_on_from(model, storage.load_arrays(job.warm))
    model.learn_counts(item_counts(job.item_features, job.model.n_items))
    if job.halves:
        halves = []
        for name, folder in zip(_HALVES, job.halves, strict=True):
            half = _built(ModelSpec(name, job.model.settings, job.model.n_users, job.model.n_items), mixed=False)
            set_weights(half.weights, storage.load_arrays(folder))
            halves.append(half)
        model.join_pretrained(*halves, alpha=job.alpha)
    return model, Trainer(model, job, ranks)


def total_steps(job: Job, ranks: int) -> int:
    """The steps of all configured epochs, over which the schedule stretches.

    `training.epochs` of them also where the job makes fewer, as the fits after the evaluate fit may: their rate then takes
    the course that was found best, not a shorter one that was never evaluated.
    """
    draws = [plan_epoch(files, ranks, job.training.batch_rows).steps for files in job.draws]
    return sum(draws[number % len(draws)] for number in range(job.training.epochs))


def describe(model: Any) -> tuple[str, int]:
    """A table of the model's weights, and how many numbers they are."""
    lines = [f"{variable.name:<20} {'x'.join(map(str, variable.shape)) or 'scalar':>16}" for variable in model.weights]
    parameters = sum(int(np.prod(variable.shape)) for variable in model.weights)
    return "\n".join([*lines, f"{'parameters':<20} {parameters:>16,}"]), parameters


def scoring_of(model: Any) -> Mapping[str, Any]:
    """By what means a model is scored, what it reads, whom it can score that is new to it, and what its scores are."""
    sides = {"user": model.user_side, "item": model.item_side}
    return {
        "by": "query" if model.retrieves else "index" if model.in_numpy else "network",
        "history": model.length if model.reads_history else 0,
        "without_history": model.without_history,
        "from_content": [of for of in model.from_content if sides[of] is not None],
        "ratings": model.predicts_ratings,
        "logits": model.gives_logits,
        "context": model.context_width,
        "pair_floats": model.pair_floats,
    }


def environment() -> Mapping[str, str]:
    """The versions that a training ran with."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for package in (
        "recsys-spark",
        "tensorflow",
        "tensorflow-cpu",
        "keras",
        "horovod",
        "petastorm",
        "numpy",
        "pyspark",
    ):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _built(spec: ModelSpec, mixed: bool) -> Any:
    settings = dict(spec.settings) | ({"dtype": "mixed_bfloat16"} if mixed else {})
    return build_model(spec.name, settings, spec.n_users, spec.n_items)
