"""Self-contained HTML pages for reports, and the charts on them: no Spark, no other host, the same bytes for the same input.

sales = bars("Sales by day", ["Mon", "Tue"], [3, 1], "sales", said=["3 (75%)", "1 (25%)"])
behind = Table(["day", "sales", "share"], [["Mon", 3, Share(0.75)], ["Tue", 1, Share(0.25)]])
figure = Figure(sales, "Bars: Mon 3, Tue 1.", behind)
page = Page("A week", "What was sold.", [Part("By day", ["Words.", figure])])
page.html(), page.pictures()  # the file's text; each figure as a PNG by the name of its file
"""

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
