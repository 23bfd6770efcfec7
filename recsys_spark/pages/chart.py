"""One chart: drawn once, shown as an SVG on a page or as a PNG by itself, with the same bytes each time."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from recsys_spark.pages import style
from recsys_spark.pages.words import anchor

WIDTH: Final = 5.6  # inches: on a telephone's screen it is still read without scrolling
_TEXT: Final = {"font.size": 10, "font.family": "DejaVu Sans", "axes.edgecolor": style.PALE, "text.color": style.INK}
_TICKS: Final = {
    "xtick.color": style.INK,
    "ytick.color": style.INK,
    "axes.labelcolor": style.INK,
    "hatch.linewidth": 0.6,
}
_DRAWING: Final = re.compile(r"<svg .*</svg>", re.DOTALL)


@dataclass(frozen=True)
class Chart:
    """What is drawn: `draw` is given matplotlib's `Figure` of this height, in inches."""

    title: str
    draw: Callable[[Any], None]
    height: float
    width: float = WIDTH

    @property
    def name(self) -> str:
        """The title as the name of a file."""
        return anchor(self.title)

    def svg(self, name: str = "") -> str:
        """The SVG for a page, without the title, which stands above it there; colours are the page's variables.

        Args:
            name: what its inner ids begin with; two SVGs on one page need different ones.
        """
        drawn = self._saved("svg", {"Date": None, "Creator": None}, title=False).decode()
        (found,) = _DRAWING.findall(drawn)
        own = name or self.name
        found = re.sub(r'\bid="', f'id="{own}-', found)
        found = re.sub(r'(url\(|href=")#', rf"\g<1>#{own}-", found)
        found = re.sub(r' (?:width|height)="[\d.]+pt"', "", found, count=2)
        found = re.sub(r"<metadata>.*?</metadata>\s*", "", found, flags=re.DOTALL)
        return style.on_page(found)

    def png(self) -> bytes:
        """The PNG, on white, under its title."""
        return self._saved("png", {"Software": None}, title=True)

    def _saved(self, form: str, metadata: dict[str, Any], title: bool) -> bytes:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        content = io.BytesIO()
        with matplotlib.rc_context({**_TEXT, **_TICKS, "svg.hashsalt": self.name, "svg.fonttype": "none"}):
            figure = Figure(figsize=(self.width, self.height + 0.35 * title), layout="constrained")
            FigureCanvasAgg(figure)
            if title:
                figure.suptitle(self.title, x=0.01, horizontalalignment="left", fontsize=11)
            self.draw(figure)
            figure.savefig(content, format=form, metadata=metadata, transparent=form == "svg", dpi=150)
        return content.getvalue()
