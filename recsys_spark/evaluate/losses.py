"""How well a model's scores serve as probabilities: log loss, and accuracy at a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from recsys_spark.ranking import Bools, Floats, Ints, Scores

_LOWEST, _STEPS_PER_UNIT, _STEPS = -16.0, 64, 2048
BINS: Final = _STEPS + 2  # of logits; the first and the last are open


def log_losses(logits: Scores, positive: Bools) -> Floats:
    """`-log p` of what happened, p the sigmoid of the logit, element by element; finite for finite logits.

    >>> log_losses(np.array([0.0, 0.0]), np.array([True, False]))
    array([0.69314718, 0.69314718])
    """
    signed = np.where(positive, -logits, logits).astype(np.float64)
    return np.logaddexp(0.0, signed)


def user_losses(logits: Scores, positive: Bools, negatives: int) -> dict[str, Floats]:
    """A user's two losses as sums, each with the number of pairs it is to be divided by; (U, C) -> (U,).

    `log_loss` takes the pairs as they are. `loss` weights the negatives down to `negatives` a positive, the
    ratio that the model is trained at, so that it can be set beside the training loss. -inf is no pair; a
    user who lacks positives or negatives has none (NaN).
    """
    pair = logits > -np.inf
    each = np.where(pair, log_losses(np.where(pair, logits, 0.0), positive), 0.0)
    wins, others = (pair & positive).sum(axis=1), (pair & ~positive).sum(axis=1)
    of_wins, of_others = (each * positive).sum(axis=1), (each * ~positive).sum(axis=1)
    both = (wins > 0) & (others > 0)
    weighted = of_wins + negatives * wins * of_others / np.maximum(others, 1)
    sums = {
        "log_loss": of_wins + of_others,
        "pairs": wins + others,
        "loss": weighted,
        "loss_pairs": wins * (1 + negatives),
    }
    return {name: np.where(both, values, np.nan) for name, values in sums.items()}


def bins_of(logits: Scores) -> Ints:
    """The bin of each logit, 0..BINS-1; a bin's lower edge is `edge(bin)`."""
    # a multiplication by a power of two is exact, a subtraction before it would not be
    steps: Floats = np.floor(logits.astype(np.float64) * _STEPS_PER_UNIT) - _LOWEST * _STEPS_PER_UNIT
    return np.clip(steps + 1, 0, BINS - 1).astype(np.int64)


def edge(bin_: int) -> float:
    """The lower edge of a bin, a logit; the first bin has none, and beyond the last no logit is."""
    if bin_ == 0:
        return -np.inf
    return np.inf if bin_ >= BINS else _LOWEST + (bin_ - 1) / _STEPS_PER_UNIT


def accuracies(positives: Sequence[int] | Ints, negatives: Sequence[int] | Ints) -> Floats:
    """The accuracy of calling positive whatever is in bin j or above, j = 0..BINS, from the bins' counts."""
    called = np.concatenate((np.cumsum(np.asarray(positives)[::-1])[::-1], [0]))
    spared = np.concatenate(([0], np.cumsum(negatives)))
    right: Floats = (called + spared) / (np.sum(positives) + np.sum(negatives))
    return right


def best_bin(positives: Sequence[int] | Ints, negatives: Sequence[int] | Ints) -> int:
    """The threshold of the best accuracy; of equals the one that calls the fewest positive."""
    by_bin = accuracies(positives, negatives)
    return int(len(by_bin) - 1 - np.argmax(by_bin[::-1]))
