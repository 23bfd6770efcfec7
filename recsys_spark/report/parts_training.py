"""Parts on the training itself: losses and metrics by epoch, and what the model is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsys_spark.explore.entries import Entries
from recsys_spark.pages import Cell, Figure, Note, Part, Table, lines
from recsys_spark.report.chosen import Chosen
from recsys_spark.report.training import LAYERS, LOSS, LOSSES, METRICS, SUMMARY, settings, shapes


def losses(found: Entries, manifest: Mapping[str, Any]) -> Part:
    """Train and validation loss by epoch."""
    title = "Loss by epoch"
    by_series = {series: found.rows(LOSSES, series) for series in found.series(LOSSES)}
    figure = _by_epoch(
        title, {series: {at: row[LOSS] for at, row in rows.items()} for series, rows in by_series.items()}, LOSS
    )
    best = f"The weights kept are those of epoch {manifest['best_epoch']} of {len(manifest['history'])}."
    note = (
        "The train loss is the mean over an epoch, while the weights move; the validation loss is taken after it, with the "
        "negatives weighted as in training."
    )
    without = (
        "There is no validation loss: this fit has no validation part, or its objective none that can be compared."
    )
    return Part(title, [best, figure, note if "validation" in by_series else without])


def metrics(found: Entries, manifest: Mapping[str, Any]) -> list[Part]:
    """The metrics that epochs were chosen by, a part a unit: ranks are shares, errors are in the values' own."""
    title, names = "Metrics by epoch", found.series(METRICS)
    if not names:
        why = "This fit was validated on nothing: it was trained for as many epochs as an evaluate fit found best."
        return [Part(title, [Note("Not in this training", why)])]
    heights = {name: {at: row[name] for at, row in found.rows(METRICS, name).items()} for name in names}
    settings_of = manifest.get("training", {})
    how = f"On validation, among {'the whole catalogue' if settings_of.get('validation') == 'full' else 'sampled candidates'}."
    return [Part(title, [_by_epoch(title, heights, "on validation"), how])]


def summary(found: Entries, chosen: Chosen) -> Part:
    """Arrays with their shapes, and the settings that the model was built with."""
    shape_of = shapes(chosen.path)
    in_order = sorted(found.rows(LAYERS).items())  # names begin with the place of the array in the model
    rows: list[list[Cell]] = [
        [name.partition(" ")[2] or name, shape_of[name], round(row["numbers"])] for name, row in in_order
    ]
    layers = Table(["array", "shape", "numbers"], rows)
    parameters, seconds = (found.figure(SUMMARY, name, name) for name in ("parameters", "training_seconds"))
    said = f"{round(parameters or 0):,} parameters are trained; arrays that are not (a catalogue of vectors) stand here too."
    took = f"Training took {seconds:,.1f} s in all." if seconds is not None else ""
    built = Table(["setting", "value"], [[name, value] for name, value in settings(chosen.manifest).items()])
    return Part("Model summary", [f"{said} {took}".strip(), layers, built])


def _by_epoch(title: str, series: Mapping[str, Mapping[str, float]], unit: str) -> Figure:
    epochs = list(dict.fromkeys(epoch for heights in series.values() for epoch in heights))
    heights = {name: [by_epoch.get(epoch) for epoch in epochs] for name, by_epoch in series.items()}
    chart = lines(title, [int(epoch) for epoch in epochs], heights, "epoch", unit, from_zero=False)
    table = Table(
        ["epoch", *series],
        [[int(epoch), *[values[place] for values in heights.values()]] for place, epoch in enumerate(epochs)],
    )
    said = "; ".join(f"{name} from {values[0]:.4g} to {values[-1]:.4g}" for name, values in _known(heights).items())
    return Figure(chart, f"Lines: {said}.", table)


def _known(heights: Mapping[str, list[float | None]]) -> dict[str, list[float]]:
    return {name: [value for value in values if value is not None] for name, values in heights.items()}
