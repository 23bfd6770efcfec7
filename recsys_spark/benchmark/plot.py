"""The report of a benchmark as one picture: quality against training time, a panel a data set."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recsys_spark.benchmark.cells import figure_key
from recsys_spark.benchmark.results import Line, Over
from recsys_spark.config import Benchmark

# Told apart by the colour-blind (Okabe and Ito, 2008, "Color universal design"); its yellow is too pale on white.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS: Final = "osD^vPX*"
_INK: Final = "#333333"
_PANEL: Final = (5.2, 4.2)  # inches
_LABEL_GAP: Final = 0.055  # of a panel's height


def plot(benchmark: Benchmark, lines: Mapping[str, Sequence[Line]]) -> bytes:
    """A PNG: the first metric, over the whole catalogue where it was measured so, on the last split.

    Each model has a marker, a colour and its name beside it; a bar reaches from the least to the greatest over the
    seeds. Baselines, which train nothing, are dashed lines.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    protocol = "full" if "full" in benchmark.protocols else benchmark.protocols[0]
    key = figure_key(protocol, benchmark.splits[-1], benchmark.metrics[0])
    figure = Figure(figsize=(_PANEL[0] * len(lines), _PANEL[1]), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(lines), squeeze=False)[0]
    names = dict.fromkeys(line.name for each in lines.values() for line in each if line.training_seconds)
    places = {name: place for place, name in enumerate(names)}
    for panel, (dataset, of_dataset) in zip(panels, lines.items(), strict=True):
        _draw(panel, [line for line in of_dataset if key in line.figures], key, places)
        panel.set_title(dataset, loc="left", color=_INK)
        panel.set_xlabel("training, seconds (log scale)", color=_INK)
    panels[0].set_ylabel(f"{benchmark.metrics[0]}, {benchmark.splits[-1]}, {protocol}", color=_INK)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    return content.getvalue()


def _draw(panel: Any, lines: Sequence[Line], key: str, places: Mapping[str, int]) -> None:
    points = [(line, line.training_seconds, line.figures[key]) for line in lines if line.training_seconds]
    panel.set_xscale("log")
    panel.grid(color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    for line, seconds, quality in points:
        place = places[line.name]
        style = {"color": _COLOURS[place % len(_COLOURS)], "marker": _MARKERS[place % len(_MARKERS)]}
        reach = [[quality.mean - quality.least], [quality.greatest - quality.mean]]
        panel.errorbar([seconds.mean], [quality.mean], yerr=reach, markersize=8, elinewidth=1.2, capsize=3, **style)
    if points:
        times = [seconds.mean for _, seconds, _ in points]
        panel.set_xlim(min(times) / 1.6, max(times) * 3.2)  # room for the names
    for line in (line for line in lines if line.training_seconds is None):
        height = line.figures[key].mean
        panel.axhline(height, color="#888888", linestyle="--", linewidth=1)
        at = {"xycoords": ("axes fraction", "data"), "xytext": (0, 3), "textcoords": "offset points"}
        panel.annotate(line.name, (0.01, height), color=_INK, fontsize=9, **at)
    _label(panel, [(line.name, seconds, quality) for line, seconds, quality in points])


def _label(panel: Any, points: Sequence[tuple[str, Over, Over]]) -> None:
    """Each point's name to its right, moved up where the one below would touch it."""
    bottom, top = panel.get_ylim()
    lowest = bottom
    for name, seconds, quality in sorted(points, key=lambda point: point[2].mean):
        height = max(quality.mean, lowest)
        lowest = height + _LABEL_GAP * (top - bottom)
        panel.text(seconds.mean * 1.12, height, name, color=_INK, fontsize=9, verticalalignment="center")
