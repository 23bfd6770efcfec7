"""The training loop, the same for one rank and for many: it fits on a screen."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recsys_spark import log
from recsys_spark.errors import TrainingError
from recsys_spark.feed.batches import dataset
from recsys_spark.feed.shards import Plan, plan_epoch
from recsys_spark.feed.validation import held_out
from recsys_spark.training.checkpoint import Checkpoints, Progress
from recsys_spark.training.distributed import Ranks
from recsys_spark.training.job import Epoch, Job, Outcome, curve_of, is_below
from recsys_spark.training.setup import Trainer, build, describe, environment, scoring_of
from recsys_spark.training.validation import Validation

_SECONDS_BETWEEN_LINES = 10.0
_STEPS_BETWEEN_CHECKS = 100


def fit(job: Job, ranks: Ranks) -> Outcome:
    """Train one model to its best epoch, going on from a checkpoint where there is one.

    Every rank runs this, on its own shard; rank 0 speaks and writes. A training that has to stop returns its reason in
    `Outcome.error`, on every rank at the same step, so that none is left waiting for another.
    """
    say = _speaker(job.title) if ranks.rank == 0 else _silent
    model, trainer = build(job, ranks)
    checkpoints = Checkpoints(job.checkpoint, job.identity)
    progress = ranks.share(checkpoints.resume(trainer.variables) if ranks.rank == 0 else None)
    ranks.broadcast(trainer.variables)
    if progress.epochs:
        say(f"going on after epoch {progress.epochs}, which an earlier run finished")
    validation = None
    if job.validation:
        lists = held_out(
            job.validation,
            job.histories,
            ranks.rank,
            ranks.size,
            job.training.validation_users,
            job.contexts,
            job.seen,
        )
        validation = Validation(model, lists, job)
    error = ""
    try:
        while not _is_over(progress, job):
            number = progress.epochs + 1
            plan = plan_epoch(job.draws[(number - 1) % len(job.draws)], ranks.size, job.training.batch_rows)
            loss, seconds = _train_epoch(trainer, plan, job, number, ranks, say)
            trainer.agree(ranks)
            figures = validation.measure(ranks) if validation else {}
            _check_equal(trainer.variables, ranks, number)
            epoch = Epoch(number, loss, seconds, plan.rows * job.layout.samples, figures)
            is_best = progress.add(epoch)
            if ranks.rank == 0:
                checkpoints.save(progress, trainer.variables, model.weights, is_best)
            say(_line(epoch, job.epochs, is_best))
    except TrainingError as stopped:
        error = str(stopped)
    best = progress.best_epoch
    if ranks.rank == 0 and best and model.retrieves:
        checkpoints.save_catalogue(model)
    return Outcome(
        tuple(progress.history), best, checkpoints.best, *describe(model), error, environment(), scoring_of(model)
    )


def _train_epoch(
    trainer: Trainer, plan: Plan, job: Job, number: int, ranks: Ranks, say: Callable[[str], None]
) -> tuple[float, float]:
    """One pass over this rank's shard: (mean loss over all ranks, seconds)."""
    started = last_line = time.monotonic()
    layout, at_once = job.layout, job.training.steps_per_call
    trainer.start_epoch()
    step = checked = 0
    for stack in dataset(plan, layout, ranks.rank, job.seed, number, at_once):
        trainer.steps(stack)
        step += len(stack)
        if step - checked >= _STEPS_BETWEEN_CHECKS or step == plan.steps:
            checked = step
            _check_finite(trainer, ranks, number, job)
        if time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            rate = step * plan.batch_rows * ranks.size * layout.samples / (last_line - started)
            left = (plan.steps - step) * (last_line - started) / step
            say(
                f"epoch {number}: step {step:,} of {plan.steps:,}, {rate:,.0f} samples/s, {left:.0f} s left of the epoch"
            )
    total, steps = ranks.total(np.array([trainer.mean_loss() * plan.steps, plan.steps], dtype=np.float64))
    return float(total / steps), time.monotonic() - started


def _check_finite(trainer: Trainer, ranks: Ranks, number: int, job: Job) -> None:
    """Stop every rank at the same step once any rank's loss is not finite."""
    bad = [step for step in ranks.gathered(trainer.first_bad_step()) if step]
    if bad:
        raise TrainingError(
            f"{job.title}: the loss was not finite at step {min(bad):,} of epoch {number}: try a lower "
            f"training.learning_rate (now {job.training.learning_rate}), or training.clip_norm=1.0"
        )


def _check_equal(variables: Sequence[Any], ranks: Ranks, number: int) -> None:
    """Ranks that average the same gradients have the same weights, to the bit; if not, something is broken."""
    if ranks.size == 1:
        return
    digest = hashlib.blake2b(digest_size=7)
    for variable in variables:
        digest.update(np.asarray(variable).tobytes())
    digests = ranks.gathered(int.from_bytes(digest.digest(), "big"))
    if len(set(digests)) > 1:
        raise TrainingError(
            f"after epoch {number} the ranks' weights differ (digests {digests}): their gradients were not averaged"
        )


def _is_over(progress: Progress, job: Job) -> bool:
    waited = progress.epochs - progress.best_epoch
    out_of_patience = bool(job.validation) and 0 < job.training.patience <= waited
    return progress.epochs >= job.epochs or out_of_patience or is_below(curve_of(progress.history), job.floors)


def _line(epoch: Epoch, epochs: int, is_best: bool) -> str:
    figures = "".join(f", validation {name} {value:.4f}" for name, value in epoch.validation.items())
    rate = epoch.samples / max(epoch.seconds, 1e-9)
    mark = " (best)" if is_best and epoch.validation else ""
    return f"epoch {epoch.number} of {epochs}: loss {epoch.loss:.4f}{figures}{mark}, {rate:,.0f} samples/s, {epoch.seconds:.1f} s"


def _speaker(title: str) -> Callable[[str], None]:
    return lambda line: log.say("train", f"{title}: {line}")


def _silent(line: str) -> None:
    pass
