"""What is known of designed experiments: the own one, and those it must not meet."""

from __future__ import annotations

from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.runs import Run
from recsys_spark.schemas import ASSIGNMENTS, EXPERIMENTS


def registered(run: Run) -> Row:
    """The row of `experiments` of the configured one.

    Raises:
        UserError: it was not designed, or in another part of a layer.
    """
    experiment = run.config.experiment
    row = run.tables.read_or_empty(EXPERIMENTS).where(F.col(c.EXPERIMENT) == experiment.name).head()
    if row is None:
        raise UserError(
            f"experiment {experiment.name} has no design under {run.root}: run jobs/experiment.py design first, before anyone "
            "has seen an outcome"
        )
    if (row[c.LAYER], row["slot_from"], row["slot_to"]) != (experiment.layer, *experiment.slots):
        raise UserError(
            f"experiment {experiment.name} was designed for slots {row['slot_from']:g} to {row['slot_to']:g} of layer "
            f"{row[c.LAYER]}, and is configured for {experiment.slots[0]:g} to {experiment.slots[1]:g} of {experiment.layer}: "
            "put it back, or run jobs/experiment.py design again"
        )
    return row


def hold_apart(run: Run) -> None:
    """Raise where another experiment that has users holds some of the same slots of the layer."""
    experiment = run.config.experiment
    others = run.tables.read_or_empty(EXPERIMENTS).where(
        (F.col(c.LAYER) == experiment.layer)
        & (F.col(c.EXPERIMENT) != experiment.name)
        & (F.col("slot_from") < experiment.slots[1])
        & (F.col("slot_to") > experiment.slots[0])
    )
    running = run.tables.read_or_empty(ASSIGNMENTS).select(c.EXPERIMENT).distinct()
    met = collect_rows(
        others.join(running, on=c.EXPERIMENT, how="left_semi").orderBy("slot_from"),
        "experiments of a layer",
        run.config.run.driver_bytes,
    )
    if met:
        taken = ", ".join(f"{row['slot_from']:g} to {row['slot_to']:g} by {row[c.EXPERIMENT]}" for row in met)
        raise UserError(
            f"slots {experiment.slots[0]:g} to {experiment.slots[1]:g} of layer {experiment.layer} are taken: {taken}; set "
            "experiment.slots to free ones, choose another layer, or end the other with experiment.ramp=0"
        )
