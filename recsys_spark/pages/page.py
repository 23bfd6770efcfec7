"""A page of parts, each of text, figures, tables and notes, as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias

from markupsafe import Markup

from recsys_spark.pages import style
from recsys_spark.pages.chart import Chart
from recsys_spark.pages.words import Cell, anchor, shown

if TYPE_CHECKING:
    from jinja2 import Template

MOST_BYTES: Final = 3_000_000

Facts: TypeAlias = "Mapping[str, Cell]"  # a few figures by name, large


@dataclass(frozen=True)
class Table:
    """Rows under columns; numbers stand at the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart, in words what is to be seen on it, and the small table that it is drawn from."""

    chart: Chart
    alt: str
    table: Table
    caption: str = ""


@dataclass(frozen=True)
class Note:
    """What a reader must not miss: a part that is absent and why, a verdict, a breach."""

    title: str
    text: str


Block: TypeAlias = "str | Markup | Facts | Table | Figure | Note"  # a text is a paragraph; Markup is taken as it is


@dataclass(frozen=True)
class Part:
    """What stands under one heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A report: its title, what it is of, a few figures on top, and its parts."""

    title: str
    lead: str
    parts: Sequence[Part]
    facts: Facts | None = None

    def html(self) -> str:
        """The file's text.

        All text is escaped but `Markup`, whose author answers for it. The page names no other host and its policy lets the
        browser ask none. Styles and scripts within it are allowed.

        Raises:
            ValueError: two parts have one title, or the page is over 3 MB, the most that a report may have.
        """
        titles = [anchor(part.title) for part in self.parts]
        if len(set(titles)) < len(titles):
            raise ValueError(f"parts of the page {self.title!r} share a title: {sorted(titles)}")
        written = _template().render(page=self, light=style.LIGHT, dark=style.DARK)
        if len(written.encode()) > MOST_BYTES:
            raise ValueError(
                f"the page {self.title!r} has {len(written.encode()):,} bytes, at most {MOST_BYTES:,} are allowed"
            )
        return written

    def pictures(self) -> dict[str, bytes]:
        """Every figure as a PNG, by the name of its file."""
        figures = [block for part in self.parts for block in part.blocks if isinstance(block, Figure)]
        return {f"{figure.chart.name}.png": figure.chart.png() for figure in figures}


def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    numbers = count(1)

    def cell(value: Cell) -> str:
        return Markup(value.svg(f"drawn-{next(numbers)}")) if isinstance(value, Chart) else shown(value)

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"anchor": anchor, "cell": cell, "kind": lambda block: type(block).__name__}
    made.tests["numeric"] = _is_numeric
    return made.from_string((resources.files(__package__) / "page.html").read_text(encoding="utf-8"))


def _is_numeric(table: Table, place: int) -> bool:
    """Whether a column holds numbers alone, but for what is missing."""
    known = [row[place] for row in table.rows if row[place] is not None]
    return bool(known) and all(isinstance(value, int | float) for value in known)
