"""Learning-rate schedules: functions of the step that give the factor on the learning rate, in TensorFlow ops.

Steps count from 1, over the whole training and not an epoch. A factor depends on the step alone, so that a training
that goes on after a checkpoint, which holds the step, goes on with the right rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from recsys_spark.settings import Training

Schedule = Callable[[Any], Any]
"""Step, a float32 scalar from 1 -> factor on the learning rate, a float32 scalar."""


def constant(warmup_steps: int = 0) -> Schedule:
    """min(1, t / w): a warm-up of `w` steps, then the whole rate (Goyal et al. 2017)."""
    return lambda step: tf.minimum(1.0, step / max(1, warmup_steps))


def cosine(total_steps: int, warmup_steps: int = 0, final_share: float = 0.0) -> Schedule:
    """A warm-up as in `constant`, then half a cosine down to `final_share` at the last step (Loshchilov and Hutter 2017).

    f + (1 - f) (1 + cos(pi (t - w) / (T - w))) / 2 for w < t <= T; beyond the last step it stays at f.
    """
    rise, length = constant(warmup_steps), max(1, total_steps - warmup_steps)

    def factor(step: Any) -> Any:
        fallen = _half_cosine(tf.clip_by_value((step - warmup_steps) / length, 0.0, 1.0))
        return rise(step) * (final_share + (1.0 - final_share) * fallen)

    return factor


def one_cycle(total_steps: int, peak_share: float, div: float) -> Schedule:
    """Up in a line from 1 / `div` at step 1 to 1 at the peak p, then half a cosine down (Smith and Topin 2018).

    p is `peak_share` of the T steps, and the fall (1 + cos(pi (t - p) / (T - p + 1))) / 2: step T, and any beyond it, is
    one short of 0. Only the rate has a cycle, the moments' decay has none.
    """
    peak = max(1, round(peak_share * total_steps))
    length = max(1, total_steps - peak + 1)

    def factor(step: Any) -> Any:
        risen = 1.0 / div + (1.0 - 1.0 / div) * (step - 1.0) / max(1, peak - 1)
        fallen = _half_cosine((tf.minimum(step, float(total_steps)) - peak) / length)
        return tf.where(step < peak, risen, fallen)

    return factor


def build_schedule(training: Training, total_steps: int) -> Schedule:
    """The configured schedule, over all steps of a training that runs for all its epochs."""
    if training.schedule == "cosine":
        return cosine(total_steps, training.warmup_steps, training.final_rate_share)
    if training.schedule == "one_cycle":
        return one_cycle(total_steps, training.one_cycle_peak_share, training.one_cycle_div)
    return constant(training.warmup_steps)


def _half_cosine(share: Any) -> Any:
    """From 1 at 0 to 0 at 1."""
    return 0.5 * (1.0 + tf.cos(math.pi * share))
