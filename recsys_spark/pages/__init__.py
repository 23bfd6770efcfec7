"""Self-contained HTML pages for reports, and the charts on them: no Spark, no other host, the same bytes for the same input."""

from recsys_spark.pages.chart import Chart
from recsys_spark.pages.figures import (
    Box,
    Points,
    bars,
    boxes,
    boxes_over_time,
    columns,
    histogram,
    lines,
    scatter,
    sparkline,
)
from recsys_spark.pages.page import Block, Facts, Figure, Note, Page, Part, Table
from recsys_spark.pages.words import Cell, Share

__all__ = [
    "Block",
    "Box",
    "Cell",
    "Chart",
    "Facts",
    "Figure",
    "Note",
    "Page",
    "Part",
    "Points",
    "Share",
    "Table",
    "bars",
    "boxes",
    "boxes_over_time",
    "columns",
    "histogram",
    "lines",
    "scatter",
    "sparkline",
]
