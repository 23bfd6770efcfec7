"""The page: figures of `training_report` in, parts with pictures out. No Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_spark.explore.entries import Entries
from recsys_spark.pages import Facts, Note, Page, Part, Share
from recsys_spark.report import parts_items, parts_predictions, parts_training
from recsys_spark.report.chosen import Chosen
from recsys_spark.report.predictions import ACCURACY, ROC
from recsys_spark.report.segments import FOUND, OVERALL, SEGMENTS
from recsys_spark.report.space import Space
from recsys_spark.settings import Config


@dataclass(frozen=True)
class Reported:
    """A model with all that was found out about it."""

    chosen: Chosen
    found: Entries
    config: Config
    space: Space | None
    laid_out: Mapping[str, npt.NDArray[np.float64]]


def page_of(reported: Reported) -> tuple[Page, dict[str, bytes]]:
    """All parts in the order in which questions come up, and pictures that stand beside the page alone, as PNG by name.

    What a model or root cannot show says so.
    """
    chosen, found, config = reported.chosen, reported.found, reported.config
    on_plane, pictures = parts_items.plane(reported.space, reported.laid_out)
    parts = [
        parts_training.losses(found, chosen.manifest),
        *parts_training.metrics(found, chosen.manifest),
        *_held_out(reported),
        parts_training.summary(found, chosen),
        parts_items.folding(found, config.training.folding_users),
        parts_items.nearest(found, reported.space),
        on_plane,
    ]
    lead = f"Data set {config.dataset}, {chosen.row['model_name']}, fit {chosen.fit}, as of {chosen.as_of}."
    return Page(f"Training of {chosen.version}", lead, parts, _facts(found, config.report.k)), pictures


def _held_out(reported: Reported) -> list[Part]:
    """The parts on held-out events; a later fit than evaluate has learnt from them."""
    chosen, found, config = reported.chosen, reported.found, reported.config
    if chosen.fit != "evaluate":
        vouching = chosen.row["evaluated_by"]
        why = f"A {chosen.fit} fit has learnt from the events that an evaluate fit is measured on. "
        see = (
            f"Report on the fit that vouches for it: --model-version {vouching}."
            if vouching
            else "None vouches for it."
        )
        return [Part("Predictions and segments", [Note("Not measured", why + see)])]
    return [
        *parts_predictions.predictions(found, config.examples.negatives),
        *parts_predictions.segments(found, config.report.k),
    ]


def _facts(found: Entries, k: int) -> Facts:
    epochs, parameters = (found.figure("summary", name, name) for name in ("best_epoch", "parameters"))
    facts: dict[str, int | float | None] = {
        "best epoch": None if epochs is None else round(epochs),
        "parameters": None if parameters is None else round(parameters),
    }
    for part in found.rows(ROC, "area"):
        facts[f"AUC of pairs, {part}"] = found.figure(ROC, part, "area", "area")
    for part, row in found.rows(ACCURACY).items():
        facts[f"accuracy, {part}"] = Share(row[ACCURACY])
    overall = found.figure(SEGMENTS, "all", FOUND, OVERALL)
    return facts if overall is None else {**facts, f"found among the first {k}": Share(overall)}
