"""Who gets which variant: salted hashes of the user's id, the same in Spark, in plain Python and in anyone's SQL.

A user's *place* under a salt is the first 52 bits of SHA-256 of `salt:user_id`, as a number in [0, 1). Places under different
salts are independent, so that the four questions of an experiment do not disturb each other: is the user held out of all
experiments, in the experiment's part of its layer (Tang, Agarwal, O'Brien and Meyer, 2010, "Overlapping experiment
infrastructure"), among those that have entered, and in which variant?
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.experiment_settings import Experiment

_DIGITS: Final = 13  # hexadecimal: 52 bits, which a double holds exactly
_STEPS: Final = float(1 << 52)
_HELD_OUT: Final = "holdout"


def place(salt: str, user_id: str) -> float:
    """The user's number in [0, 1) under a salt.

    >>> place("ramp.checkout", "42")
    0.1387047054765418
    """
    digest = hashlib.sha256(f"{salt}:{user_id}".encode()).hexdigest()
    return int(digest[:_DIGITS], 16) / _STEPS


def place_of(salt: str) -> Column:
    """The same of column `user_id`; null for null."""
    digest = F.sha2(F.concat(F.lit(f"{salt}:"), F.col(c.USER_ID)), 256)
    return F.conv(F.substring(digest, 1, _DIGITS), 16, 10).cast("bigint") / F.lit(_STEPS)


def variant(experiment: Experiment, user_id: str) -> str | None:
    """The variant that a user gets; None for those who are not in the experiment, or have not entered yet."""
    if place(_HELD_OUT, user_id) < experiment.holdout:
        return None
    if not experiment.slots[0] <= place(_layer(experiment), user_id) < experiment.slots[1]:
        return None
    if place(_ramp(experiment), user_id) >= experiment.ramp:
        return None
    own = place(_variants(experiment), user_id)
    return next(name for name, end in _ends(experiment) if own < end)


def variant_of(experiment: Experiment) -> Column:
    """The same of column `user_id`, by Spark's own functions."""
    in_slots = place_of(_layer(experiment))
    takes_part = (
        (place_of(_HELD_OUT) >= experiment.holdout)
        & (in_slots >= experiment.slots[0])
        & (in_slots < experiment.slots[1])
        & (place_of(_ramp(experiment)) < experiment.ramp)
    )
    own = place_of(_variants(experiment))
    return F.coalesce(*[F.when(takes_part & (own < end), F.lit(name)) for name, end in _ends(experiment)])


def share(experiment: Experiment) -> float:
    """The share of all users that takes part once all have entered."""
    return (1.0 - experiment.holdout) * (experiment.slots[1] - experiment.slots[0])


def _ends(experiment: Experiment) -> Iterator[tuple[str, float]]:
    """Each variant with where its part of [0, 1) ends; the last ends at 1, whatever the rounding of sums."""
    *ends, _ = accumulate(experiment.variants.values())
    yield from zip(experiment.variants, (*ends, 1.0), strict=True)


def _layer(experiment: Experiment) -> str:
    return f"layer.{experiment.layer}"


def _ramp(experiment: Experiment) -> str:
    return f"ramp.{experiment.name}"


def _variants(experiment: Experiment) -> str:
    return f"variant.{experiment.name}"
