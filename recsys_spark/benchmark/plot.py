"""The report of a benchmark as one picture: quality against training time, a panel a data set."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from recsys_spark.benchmark.cells import figure_key
from recsys_spark.benchmark.results import Line
from recsys_spark.evaluate.measures import OF_RATINGS
from recsys_spark.pages.style import GRID, INK, MARKERS, PALE, colour
from recsys_spark.settings import Benchmark

_PANEL: Final = (5.2, 4.2)  # inches
_LABEL_GAP: Final = 0.055  # of a panel's height


def plot(benchmark: Benchmark, lines: Mapping[str, Sequence[Line]]) -> bytes:
    """A PNG: the first metric, over the whole catalogue where it was measured so, on the last split.

    Each model has a marker and a colour, and its name stands at its height; a bar reaches from the least to the greatest
    over the seeds. Baselines, which train nothing, are dashed lines.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    measured = {key for each in lines.values() for line in each for key in line.figures}
    split, metric = benchmark.splits[-1], benchmark.metrics[0]
    protocol = protocol_shown(benchmark, measured)
    key = figure_key(protocol, split, metric)
    figure = Figure(figsize=(_PANEL[0] * len(lines), _PANEL[1]), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(lines), squeeze=False)[0]
    names = dict.fromkeys(line.name for each in lines.values() for line in each if line.training_seconds)
    places = {name: place for place, name in enumerate(names)}
    for panel, (dataset, of_dataset) in zip(panels, lines.items(), strict=True):
        _draw(panel, [line for line in of_dataset if key in line.figures], key, places)
        panel.set_title(dataset, loc="left", color=INK)
        panel.set_xlabel("training, seconds (log scale)", color=INK)
    panels[0].set_ylabel(
        f"{metric}, {split}, {protocol}{', lower is better' if metric in OF_RATINGS else ''}", color=INK
    )
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    return content.getvalue()


def protocol_shown(benchmark: Benchmark, measured: Collection[str]) -> str:
    """The first protocol, the whole catalogue before others, under which the first metric was measured on the last split."""
    in_order = sorted(benchmark.protocols, key=lambda protocol: protocol != "full")
    keys = {one: figure_key(one, benchmark.splits[-1], benchmark.metrics[0]) for one in in_order}
    return next((one for one in in_order if keys[one] in measured), in_order[0])


def _draw(panel: Any, lines: Sequence[Line], key: str, places: Mapping[str, int]) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    for line in lines:
        quality, seconds = line.figures[key], line.training_seconds
        if seconds is None:
            panel.axhline(quality.mean, color=PALE, linestyle="--", linewidth=1)
        else:
            reach = [[quality.mean - quality.least], [quality.greatest - quality.mean]]
            style = _style(places[line.name])
            panel.errorbar([seconds.mean], [quality.mean], yerr=reach, elinewidth=1.2, capsize=3, **style)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.margins(x=0.15)
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    _name(panel, [(line.figures[key].mean, line.name, places.get(line.name)) for line in lines])


def _name(panel: Any, points: Sequence[tuple[float, str, int | None]]) -> None:
    """Names in a column at the right, each with its marker and at its height, moved up where two would touch."""
    bottom, top = panel.get_ylim()
    panel.set_ylim(bottom, top)  # not to be stretched by the names
    heights = panel.get_yaxis_transform()  # x in the panel's width, y as plotted
    free = bottom
    for at, name, place in sorted(points, key=lambda point: point[:2]):
        height = max(at, free)
        free = height + _LABEL_GAP * (top - bottom)
        if place is not None:
            panel.plot([1.03], [height], transform=heights, clip_on=False, linestyle="", **_style(place))
        panel.text(1.06, height, name, transform=heights, color=INK, fontsize=9, verticalalignment="center")


def _style(place: int) -> dict[str, Any]:
    return {"color": colour(place), "marker": MARKERS[place % len(MARKERS)], "markersize": 7}
