"""Which learning rate to take: a range test, a few steps at rates from tiny to far too large.

Smith 2017 lets the rate grow in a line over some epochs; here it grows by a factor a step, so that a few hundred steps
span all rates that one might take.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final

import numpy as np

from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.feed.batches import dataset
from recsys_spark.feed.shards import plan_epoch
from recsys_spark.runs import Run
from recsys_spark.training.distributed import Ranks, launch
from recsys_spark.training.job import Job
from recsys_spark.training.setup import build

LOWEST: Final = 1e-6
HIGHEST: Final = 1.0
_DIVERGED = 4.0  # times the best smoothed loss
_KEPT = 0.9  # of the smoothed loss, at each step


@dataclass(frozen=True)
class RangeTest:
    """A step each: the rate that it was taken at, its loss (from before it took effect), the running mean of the losses."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]

    def as_csv(self) -> str:
        """A line a step: rate, loss, smoothed."""
        rows = zip(self.rates, self.losses, self.smoothed, strict=True)
        lines = (f"{rate:.9g},{loss:.9g},{mean:.9g}" for rate, loss, mean in rows)
        return "\n".join(["rate,loss,smoothed", *lines, ""])


def find_rate(run: Run, job: Job) -> None:
    """Test rates on the job's model and examples, leave a plot and a CSV with the artifacts, and suggest a rate.

    On one rank, in this process, whatever `training.ranks` says; nothing is published. At most
    `training.find_rate_steps` steps.

    Raises:
        UserError: matplotlib is missing.
    """
    _figure_class()  # better now than after the steps
    steps = job.training.find_rate_steps
    run.say(f"{job.model.name}: at most {steps} steps at learning rates from {LOWEST:g} to {HIGHEST:g}")
    test = launch(run.spark, 1, partial(range_test, job), job.training.threads)
    rate = suggested_rate(test)
    folder = storage.join(run.artifacts, "learning_rates", run.run_id)
    for name, content in (("rates.csv", test.as_csv().encode()), ("rates.png", plot(test, rate, job.model.name))):
        storage.save_file(storage.join(folder, name), content)
        run.notes.append(f"wrote {storage.join(folder, name)}")
    run.counts["steps"] = len(test.rates)
    if rate is None:
        run.notes.append("the loss fell at no rate: look at the plot, and at training.batch_rows and the examples")
    else:
        run.notes.append(
            f"the loss fell steepest at learning rate {rate:.2g}: try --set training.learning_rate={rate:.2g}"
        )
    run.notes.append("no model was trained: run again without training.find_rate")


def range_test(job: Job, ranks: Ranks) -> RangeTest:
    """One step at each of rising rates, on the job's first draw, until the loss is lost.

    It stops once the smoothed loss is over four times the best so far, or a loss is not finite, which is left out.
    """
    plain = job.training.model_copy(update={"schedule": "constant", "warmup_steps": 0, "steps_per_call": 1})
    _, trainer = build(dataclasses.replace(job, training=plain), ranks)
    losses: list[float] = []
    smoothed: list[float] = []
    rates = rising_rates(job.training.find_rate_steps)
    for rate, stack in zip(rates, _batches(job), strict=False):
        trainer.set_rate(rate)
        trainer.start_epoch()
        trainer.steps(stack)
        if not math.isfinite(loss := trainer.mean_loss()):
            break
        losses.append(loss)
        smoothed = running_means(losses)
        if smoothed[-1] > _DIVERGED * min(smoothed):
            break
    return RangeTest(tuple(rates[: len(losses)]), tuple(losses), tuple(smoothed))


def rising_rates(steps: int) -> list[float]:
    """From `LOWEST` to `HIGHEST`, each the same multiple of the one before."""
    return [LOWEST * (HIGHEST / LOWEST) ** (number / (steps - 1)) for number in range(steps)]


def running_means(losses: Sequence[float]) -> list[float]:
    """At each step the mean of the losses so far, each weighing 0.9 of the one after it."""
    means: list[float] = []
    total = weight = 0.0
    for loss in losses:
        total, weight = _KEPT * total + loss, _KEPT * weight + 1.0
        means.append(total / weight)
    return means


def suggested_rate(test: RangeTest) -> float | None:
    """The rate about which the loss falls steepest, before the smoothed loss is least; None where it falls nowhere.

    The slope at a step is that of the least-squares line, over the logarithm of the rate, through a tenth of the steps
    around it.
    """
    half = max(1, len(test.losses) // 20)
    falling = np.array(test.losses[: int(np.argmin(test.smoothed)) + 1]) if test.losses else np.empty(0)
    if len(falling) < 2 * half + 1:
        return None
    # the numerator of the slope; the denominator is the same for all, as the logarithms stand at equal distances
    slopes = np.correlate(falling, np.arange(-half, half + 1), mode="valid")
    steepest = int(slopes.argmin())
    return test.rates[steepest + half] if slopes[steepest] < 0.0 else None


def plot(test: RangeTest, suggested: float | None, model: str) -> bytes:
    """The losses over the rates as a PNG.

    Raises:
        UserError: matplotlib is missing.
    """
    figure = _figure_class()(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(test.rates, test.losses, color="0.75", label="loss of a step")
    axes.plot(test.rates, test.smoothed, color="tab:blue", label="smoothed")
    if suggested is not None:
        axes.axvline(suggested, color="tab:red", linestyle="--", label=f"steepest fall, {suggested:.2g}")
    axes.set(xscale="log", xlabel="learning rate (logarithmic)", ylabel="training loss", title=f"Rates for {model}")
    axes.grid(alpha=0.3)
    axes.legend()
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=120)
    return written.getvalue()


def _figure_class() -> Any:
    """matplotlib's `Figure`, which needs no display, unlike pyplot."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "training.find_rate draws a plot and matplotlib is not installed: "
            "run `pip install 'recsys-spark[explore]'`, or `make setup` in a checkout"
        ) from None
    return Figure


def _batches(job: Job) -> Iterator[Any]:
    """Stacks of one batch from the first draw, epoch after epoch without an end."""
    plan = plan_epoch(job.draws[0], 1, job.training.batch_rows)
    for epoch in count(1):
        yield from dataset(plan, job.layout, 0, job.seed, epoch)
