"""The kinds of chart: bars, columns, lines, boxes, histograms, points, sparklines. Colour never stands alone for a meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from recsys_spark.pages import style
from recsys_spark.pages.chart import WIDTH, Chart
from recsys_spark.pages.words import cut, short, shown

_ROW: Final = 0.26  # inches that a bar or box takes, with the space to the next one
_AROUND: Final = 0.75  # inches of axis and margins
_LABEL: Final = 26  # letters of a label
_LETTER: Final = 5.3  # points that a letter of a label takes, about
_FILLS: Final = (5, 4, 2, 3)  # the paler colours, under a dark median
_DRAWN_ONE_BY_ONE: Final = 2000  # more points than these are one image within the SVG


@dataclass(frozen=True)
class Box:
    """One group of a box plot: whiskers from `low` to `high`, whichever quantiles the caller says; the mean is a diamond."""

    label: str
    low: float
    q1: float
    median: float
    q3: float
    high: float
    n: int
    mean: float | None = None
    series: str = ""


@dataclass(frozen=True)
class Points:
    """Points of one series of a scatter plot."""

    x: Sequence[float]
    y: Sequence[float]


def bars(title: str, labels: Sequence[str], values: Sequence[float], unit: str, said: Sequence[str] = ()) -> Chart:
    """Horizontal bars, the first on top: the caller sorts.

    Args:
        said: what stands at the end of each bar, such as a count with its share; none given: the value.
    """

    ends = said or [shown(value) for value in values]
    most = max(values) or 1
    room = 72 * WIDTH - _LETTER * (min(max(map(len, labels)), _LABEL) + 2)

    def draw(figure: Any) -> None:
        axes = _plain(figure.subplots(), "x")
        places = range(len(values))
        axes.barh(places, values, color=style.colour(0), height=0.72)
        for place, value, words in zip(places, values, ends, strict=True):
            axes.annotate(words, (value, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
        axes.set_yticks(places, [cut(label, _LABEL) for label in labels], fontsize=9)
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.set_xlim(0, most / (1 - _LETTER * (max(map(len, ends)) + 1) / room))
        axes.set_xticks([tick for tick in axes.get_xticks() if tick <= most])
        axes.set_xlabel(unit)

    return Chart(title, draw, _AROUND + _ROW * len(values))


def columns(title: str, labels: Sequence[str], values: Sequence[float], x: str, y: str) -> Chart:
    """Upright bars of what has an order of its own: hours, weekdays, classes of lengths."""

    crowded = sum(map(len, labels)) > 54

    def draw(figure: Any) -> None:
        axes = _plain(figure.subplots(), "y")
        axes.bar(range(len(values)), values, color=style.colour(0), width=0.8)
        axes.set_xticks(range(len(labels)), labels, rotation=90 if crowded else 0, fontsize=8)
        axes.set_xlabel(x)
        axes.set_ylabel(y)

    return Chart(title, draw, 3.2 if crowded else 2.6)


def lines(
    title: str,
    places: Sequence[float | date],
    series: Mapping[str, Sequence[float | None]],
    x: str,
    y: str,
    from_zero: bool = True,
    dashed: Mapping[str, float] | None = None,
) -> Chart:
    """A line a series, over numbers or dates; a gap where there is no value.

    Args:
        dashed: level lines by name, such as bounds.
    """

    def draw(figure: Any) -> None:
        axes = _plain(figure.subplots(), "y")
        marked = len(places) <= 40
        for number, (name, values) in enumerate(series.items()):
            heights = [float("nan") if value is None else value for value in values]
            look = {"color": style.colour(number), "linestyle": style.DASHES[number % len(style.DASHES)]}
            marker = style.MARKERS[number % len(style.MARKERS)] if marked else ""
            axes.plot(places, heights, label=name, linewidth=1.6, marker=marker, markersize=4, **look)
        for name, level in (dashed or {}).items():
            axes.axhline(level, color=style.PALE, linestyle=":", linewidth=1)
            axes.annotate(
                name, (0, level), (2, 2), xycoords=axes.get_yaxis_transform(), textcoords="offset points", fontsize=8
            )
        if from_zero:
            axes.set_ylim(bottom=0)
        if places and isinstance(places[0], date):
            _dated(axes.xaxis)
        elif all(isinstance(place, int) for place in places):
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _legend(axes, len(series))

    return Chart(title, draw, 2.8)


def boxes(title: str, groups: Sequence[Box], unit: str) -> Chart:
    """Horizontal boxes, the first on top, each with its count; those of one label stand together, told apart by hatches."""
    series = list(dict.fromkeys(box.series for box in groups))
    labels = list(dict.fromkeys(box.label for box in groups))
    step = 1 / (len(series) + 0.4)

    def draw(figure: Any) -> None:
        axes = _plain(figure.subplots(), "x")
        for number, name in enumerate(series):
            own = [box for box in groups if box.series == name]
            places = [labels.index(box.label) + (number - (len(series) - 1) / 2) * step for box in own]
            _boxes(axes, own, places, number, step * 0.8, orientation="horizontal")
            for box, place in zip(own, places, strict=True):
                words = f"n = {box.n:,}" + (f", {name}" if name and len(labels) <= 3 else "")
                axes.annotate(words, (1.01, place), xycoords=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.set_yticks(range(len(labels)), [cut(label, _LABEL) for label in labels], fontsize=9)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_xlabel(unit)
        _legend(axes, len(series))

    return Chart(title, draw, _AROUND + 0.3 * (len(series) > 1) + _ROW * max(1, 0.72 * len(series)) * len(labels))


def boxes_over_time(title: str, groups: Sequence[Box], unit: str, x: str, counted: str) -> Chart:
    """Upright boxes in the order given, and below each a column of how many it is taken over."""

    def draw(figure: Any) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        places = range(len(groups))
        _boxes(_plain(above, "y"), groups, places, 0, 0.6, orientation="vertical")
        above.set_ylabel(unit)
        _plain(below, "y").bar(places, [box.n for box in groups], color=style.PALE, width=0.6)
        for place, box in zip(places, groups, strict=True):
            below.annotate(short(box.n), (place, box.n), (0, 1), textcoords="offset points", ha="center", fontsize=8)
        below.margins(y=0.35)
        below.set_ylabel(counted)
        below.set_xlabel(x)
        below.set_xticks(places, [box.label for box in groups], rotation=90 if len(groups) > 10 else 0)
        above.tick_params(bottom=False)

    return Chart(title, draw, 3.8)


def histogram(title: str, edges: Sequence[float], counts: Mapping[str, Sequence[float]], x: str, y: str) -> Chart:
    """Steps over bins, a series each: `edges` has one more value than every series has counts."""

    def draw(figure: Any) -> None:
        axes = _plain(figure.subplots(), "y")
        for number, (name, heights) in enumerate(counts.items()):
            look = {"color": style.colour(number), "linestyle": style.DASHES[number % len(style.DASHES)]}
            axes.stairs(heights, edges, label=name, linewidth=1.6, **look)
            axes.stairs(heights, edges, fill=True, alpha=0.15, color=style.colour(number))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _legend(axes, len(counts))

    return Chart(title, draw, 2.8)


def scatter(title: str, series: Mapping[str, Points], x: str, y: str) -> Chart:
    """Points, each series with a colour and a marker of its own."""
    many = sum(len(points.x) for points in series.values()) > _DRAWN_ONE_BY_ONE

    def draw(figure: Any) -> None:
        axes = _plain(figure.subplots(), "both")
        for number, (name, points) in enumerate(series.items()):
            marker = style.MARKERS[number % len(style.MARKERS)]
            look = {"color": style.colour(number), "marker": marker, "s": 6 if many else 20, "linewidths": 0}
            axes.scatter(points.x, points.y, label=name, rasterized=many, **look)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _legend(axes, len(series))

    return Chart(title, draw, 4.2)


def sparkline(title: str, values: Sequence[float | None], low: float | None = None, high: float | None = None) -> Chart:
    """A line as tall as a line of text, its last value marked; with bounds, the band between them is shaded."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.set_axis_off()
        heights = [float("nan") if value is None else value for value in values]
        if low is not None or high is not None:
            known = [each for each in (*heights, low, high) if each is not None and each == each]
            bounds = (min(known) if low is None else low, max(known) if high is None else high)
            axes.axhspan(*bounds, color=style.GRID, linewidth=0)
        axes.plot(range(len(heights)), heights, color=style.colour(0), linewidth=1.4)
        axes.plot(len(heights) - 1, heights[-1], color=style.colour(1), marker="o", markersize=4)
        axes.margins(x=0.06, y=0.2)

    return Chart(title, draw, 0.3, width=1.5)


def _plain(axes: Any, grid: str) -> Any:
    """The axes with a grid behind what is drawn, and counts on them in few letters."""
    from matplotlib.ticker import FuncFormatter

    axes.grid(axis=grid, color=style.GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if grid in (name, "both"):
            axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    return axes


def _boxes(
    axes: Any, groups: Sequence[Box], places: Sequence[float], number: int, width: float, orientation: str
) -> None:
    from matplotlib.colors import to_rgba

    drawn: list[dict[str, Any]] = [
        {
            "whislo": box.low,
            "q1": box.q1,
            "med": box.median,
            "q3": box.q3,
            "whishi": box.high,
            "mean": box.mean,
            "fliers": [],
        }
        for box in groups
    ]
    fill = to_rgba(style.colour(_FILLS[number % len(_FILLS)]), 0.35)
    line = {"color": style.INK, "linewidth": 1}
    axes.bxp(
        drawn,
        positions=list(places),
        widths=width,
        showfliers=False,
        showmeans=groups[0].mean is not None,
        meanprops={"marker": "D", "markersize": 4, "markerfacecolor": style.PAPER, "markeredgecolor": style.INK},
        patch_artist=True,
        manage_ticks=False,
        orientation=orientation,
        medianprops={"color": style.colour(1), "linewidth": 2.4},
        boxprops={"facecolor": fill, "edgecolor": style.INK, "hatch": style.HATCHES[number % len(style.HATCHES)]},
        whiskerprops=line,
        capprops=line,
        label=groups[0].series or None,
    )


def _dated(axis: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=8)
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator))


def _legend(axes: Any, series: int) -> None:
    """Above what is drawn, where it covers nothing."""
    if series > 1:
        named = axes.get_legend_handles_labels()
        axes.figure.legend(*named, loc="outside upper left", ncols=min(series, 4), frameon=False, fontsize=9)
