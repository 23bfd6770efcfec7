"""What the loss of clicks is told of positions: from the log's counts, or from the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.settings import Training

_ALWAYS: Final = 1.0


def click_loss(positions: Sequence[Mapping[str, Any]], training: Training) -> dict[str, Any]:
    """The arguments of `models.clicks.ClickLoss` for the positions of one slice of `shown_positions`, rows by column name.

    Propensities are those of the configuration, where it has some, else as estimated; none is below
    `training.least_propensity`. Given ones leave missing and unknown positions at 1.

    Raises:
        UserError: positions are to be told apart and there are none, or some have no propensity.
    """
    in_order = sorted(positions, key=lambda row: int(row[c.SHOWN_AT]))
    named = [row[c.POSITION] for row in in_order if row[c.POSITION] is not None]
    if training.position != "ignore" and not named:
        raise UserError(
            f"training.position is {training.position}, but no impression of the examples tells its position: keep it in "
            "the events' context (ingest.mapping.context), name its key in examples.position_key, and run jobs/examples.py"
        )
    lacking = [name for name in named if training.propensities and name not in training.propensities]
    if training.position == "weights" and lacking:
        raise UserError(
            f"training.propensities has none for position {', '.join(lacking)}: give one for each position of the "
            "examples (table shown_positions), or none at all, to take the estimated ones"
        )
    return {
        "position": training.position,
        "codes": len(in_order),
        "dropout": training.position_dropout,
        "propensities": [max(_propensity(row, training), training.least_propensity) for row in in_order],
    }


def _propensity(row: Mapping[str, Any], training: Training) -> float:
    """A position that was never shown has none, and needs none."""
    found = training.propensities.get(row[c.POSITION]) if training.propensities else row[c.PROPENSITY]
    return _ALWAYS if found is None else float(found)
