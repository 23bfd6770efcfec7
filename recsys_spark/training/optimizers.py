"""Optimizers that touch only a batch's rows of a large table, and the training step around them.

A dense gradient gets the ordinary update, in one fused op. A `tf.IndexedSlices` gets a *lazy* one: only its rows of
the weights and moments are read and written, so a step costs the same whatever the table's size. The moments of rows
that a batch leaves out do not decay meanwhile; in that, lazy Adam differs from Adam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from recsys_spark.training.schedules import Schedule, constant

Gradients = list[Any]


class Optimizer:
    """What the update rules share: the rate's schedule, clipping, and one gradient a row.

    The rate of step t, counted from 1, is `learning_rate * schedule(t)`; `learning_rate` is a variable and may be
    assigned at any time. `variables` is the whole state, for checkpoints and broadcasts.

    Args:
        learning_rate: where the variable of that name starts.
        schedule: the factor on the rate by step, see `schedules`; the whole rate by default.
        clip_norm: scale gradients down whose norm over all variables is larger; 0: no clipping.
    """

    slots: tuple[str, ...] = ()
    slot_start = 0.0

    def __init__(self, learning_rate: float, schedule: Schedule | None = None, clip_norm: float = 0.0) -> None:
        self._first_rate, self._schedule, self._clip_norm = learning_rate, schedule or constant(), clip_norm
        self._targets: list[tuple[Any, list[Any]]] = []

    def build(self, variables: Iterable[Any]) -> None:
        """Make the state for a model's trainable variables; `apply` takes gradients in their order."""
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.learning_rate = tf.Variable(self._first_rate, dtype=tf.float32, trainable=False, name="learning_rate")
        self._targets = [(variable, self._make_slots(variable)) for variable in map(_tf_variable, variables)]

    @property
    def variables(self) -> list[Any]:
        """The step, the learning rate, and every variable's slots."""
        return [self.step, self.learning_rate, *(slot for _, slots in self._targets for slot in slots)]

    def apply(self, gradients: Sequence[Any]) -> None:
        """Update the variables by their gradients, dense tensors or `tf.IndexedSlices`; rows may repeat.

        Raises:
            ValueError: more or fewer gradients than variables, or one is None.
        """
        missing = [
            target.name for (target, _), gradient in zip(self._targets, gradients, strict=True) if gradient is None
        ]
        if missing:
            raise ValueError(f"no gradient for {', '.join(missing)}: the loss does not depend on them")
        gradients = [_sum_repeats(each) if isinstance(each, tf.IndexedSlices) else each for each in gradients]
        if self._clip_norm > 0.0:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        step = tf.cast(self.step.assign_add(1), tf.float32)
        rate = self.learning_rate * self._schedule(step)
        for (target, slots), gradient in zip(self._targets, gradients, strict=True):
            if isinstance(gradient, tf.IndexedSlices):
                self._update_rows(target, slots, gradient.indices, gradient.values, rate, step)
            else:
                self._update(target, slots, gradient, rate, step)

    def _update(self, target: Any, slots: list[Any], gradient: Any, rate: Any, step: Any) -> None:
        raise NotImplementedError

    def _update_rows(self, target: Any, slots: list[Any], rows: Any, gradient: Any, rate: Any, step: Any) -> None:
        raise NotImplementedError

    def _make_slots(self, variable: Any) -> list[Any]:
        name = variable.name.partition(":")[0]
        start = tf.fill(variable.shape, tf.constant(self.slot_start, variable.dtype))
        return [tf.Variable(start, trainable=False, name=f"{name}_{slot}") for slot in self.slots]


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), with the bias corrections folded into the rate, as at the end of its section 2.

        m = beta_1 m + (1 - beta_1) g,  v = beta_2 v + (1 - beta_2) g^2
        w = w - rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)

    Of an `IndexedSlices` only the rows in it take part, with the t of all steps.
    """

    slots = ("m", "v")

    def __init__(
        self,
        learning_rate: float = 0.001,
        schedule: Schedule | None = None,
        clip_norm: float = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__(learning_rate, schedule, clip_norm)
        self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon

    def _update(self, target: Any, slots: list[Any], gradient: Any, rate: Any, step: Any) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=target.handle,
            m=slots[0].handle,
            v=slots[1].handle,
            beta1_power=self._beta_1**step,
            beta2_power=self._beta_2**step,
            lr=rate,
            beta1=self._beta_1,
            beta2=self._beta_2,
            epsilon=self._epsilon,
            grad=gradient,
        )

    def _update_rows(self, target: Any, slots: list[Any], rows: Any, gradient: Any, rate: Any, step: Any) -> None:
        first = self._beta_1 * tf.gather(slots[0], rows) + (1.0 - self._beta_1) * gradient
        second = self._beta_2 * tf.gather(slots[1], rows) + (1.0 - self._beta_2) * tf.square(gradient)
        slots[0].scatter_update(tf.IndexedSlices(first, rows))
        slots[1].scatter_update(tf.IndexedSlices(second, rows))
        corrected = rate * tf.sqrt(1.0 - self._beta_2**step) / (1.0 - self._beta_1**step)
        target.scatter_sub(tf.IndexedSlices(corrected * first / (tf.sqrt(second) + self._epsilon), rows))


class Adagrad(Optimizer):
    """Adagrad (Duchi et al., 2011): a = a + g^2, w = w - rate * g / (sqrt(a) + epsilon), with a = 0.1 at the start."""

    slots = ("accumulator",)
    slot_start = 0.1

    def __init__(
        self,
        learning_rate: float = 0.01,
        schedule: Schedule | None = None,
        clip_norm: float = 0.0,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__(learning_rate, schedule, clip_norm)
        self._epsilon = epsilon

    def _update(self, target: Any, slots: list[Any], gradient: Any, rate: Any, step: Any) -> None:
        tf.raw_ops.ResourceApplyAdagradV2(
            var=target.handle, accum=slots[0].handle, lr=rate, epsilon=self._epsilon, grad=gradient
        )

    def _update_rows(self, target: Any, slots: list[Any], rows: Any, gradient: Any, rate: Any, step: Any) -> None:
        tf.raw_ops.ResourceSparseApplyAdagradV2(
            var=target.handle, accum=slots[0].handle, lr=rate, epsilon=self._epsilon, grad=gradient, indices=rows
        )


def build_optimizer(
    name: str, learning_rate: float, schedule: Schedule | None = None, clip_norm: float = 0.0
) -> Optimizer:
    """An optimizer by its name in the configuration, `adam` or `adagrad`; `build` it with the model's variables.

    Raises:
        ValueError: an unknown name.
    """
    rules: dict[str, type[Optimizer]] = {"adam": Adam, "adagrad": Adagrad}
    if name not in rules:
        raise ValueError(f"training.optimizer is {name!r}, expected adam or adagrad")
    return rules[name](learning_rate, schedule, clip_norm)


def densify(gradients: Sequence[Any], variables: Sequence[Any], dense_rows: int) -> Gradients:
    """Dense gradients for tables of at most `dense_rows` rows, the others as they come.

    Where a batch meets most rows of a table, one dense update is cheaper than gathering and scattering rows.
    """
    return _dense_where(gradients, variables, lambda slices, table_rows: table_rows <= dense_rows)


def cheaper_to_exchange(gradients: Sequence[Any], variables: Sequence[Any], ranks: int) -> Gradients:
    """Gradients in the form that sends less: dense where the ranks' rows together are more than two tables.

    A rank sends and receives 2 (n - 1) / n tables when n ranks reduce a dense gradient in a ring, and the rows of the
    n - 1 others when they gather slices (Patarasuk and Yuan 2009 for the ring).
    """
    # a batch of unknown size counts as none
    return _dense_where(
        gradients, variables, lambda slices, rows: ranks > 1 and ranks * (slices.indices.shape[0] or 0) > 2 * rows
    )


def _dense_where(gradients: Sequence[Any], variables: Sequence[Any], is_dense: Callable[[Any, int], bool]) -> Gradients:
    """The gradients, those slices made dense of which `is_dense(slices, rows of the table)` holds."""
    return [
        tf.convert_to_tensor(gradient)
        if isinstance(gradient, tf.IndexedSlices) and is_dense(gradient, variable.shape[0])
        else gradient
        for gradient, variable in zip(gradients, variables, strict=True)
    ]


def make_step(
    model: Any,
    optimizer: Optimizer,
    dense_rows: int = 0,
    average: Callable[[Gradients], Gradients] = list,
    ranks: int = 1,
) -> Callable[[Mapping[str, Any], Any], Any]:
    """One training step, to be called in a `tf.function`: a batch as `model` takes it and a seed (2,) -> its loss, a scalar.

    Batches of one static shape let the model choose its cheaper form.

    Args:
        dense_rows: see `densify`.
        average: the mean of the gradients over ranks, dense and `tf.IndexedSlices` alike, before they are applied.
        ranks: how many `average` is over.

    Raises:
        ValueError: the model computes in float16.
    """
    if model.compute_dtype == "float16":
        raise ValueError("float16 loses small gradients without a scaled loss: use mixed_bfloat16, which does not")

    def step(batch: Mapping[str, Any], seed: Any) -> Any:
        variables = [_tf_variable(variable) for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            loss = model.training_loss(batch, seed) + sum(model.losses)
        gradients = cheaper_to_exchange(tape.gradient(loss, variables), variables, ranks)
        optimizer.apply(densify(average(gradients), variables, dense_rows))
        return loss

    return step


def _tf_variable(variable: Any) -> Any:
    return variable.value if isinstance(variable, keras.Variable) else variable


def _sum_repeats(slices: Any) -> Any:
    """The same gradient with each row once."""
    rows, places = tf.unique(slices.indices)
    return tf.IndexedSlices(
        tf.math.unsorted_segment_sum(slices.values, places, tf.size(rows)), rows, slices.dense_shape
    )
