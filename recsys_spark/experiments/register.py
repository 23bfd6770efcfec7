"""What is known of designed experiments: the own one, and those it must not meet."""

from __future__ import annotations

from typing import Final

import yaml
from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.experiment_settings import Experiment
from recsys_spark.runs import Run
from recsys_spark.schemas import ASSIGNMENTS, EXPERIMENTS

_NOT_OF_ANALYSIS: Final = {"ramp", "starts", "design"}  # the first may change, the others are read from the row


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


def settings_of(experiment: Experiment) -> str:
    """The experiment's settings as YAML, as `experiments` keeps them."""
    return yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def changes(experiment: Experiment, row: Row) -> list[str]:
    """A line that names the settings of the analysis that are not those of the design, if any.

    Raises:
        UserError: the primary metric is another: the verdict would rest on what was chosen after the design.
    """
    if row[c.METRIC] != experiment.primary:
        raise UserError(
            f"experiment {experiment.name} was designed on metric {row[c.METRIC]}, and its primary metric is now "
            f"{experiment.primary}: put it back, and look at the other as a secondary one"
        )
    designed, now = yaml.safe_load(row["settings"]), yaml.safe_load(settings_of(experiment))
    other = [key for key in now if key not in _NOT_OF_ANALYSIS and now[key] != designed.get(key, now[key])]
    return [f"changed since the design, which proves less: experiment.{', experiment.'.join(other)}"] if other else []


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
