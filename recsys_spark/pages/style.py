"""The colours and marks of every chart, told apart by the colour-blind, on a light and on a dark page."""

from __future__ import annotations

from typing import Final

# Okabe and Ito, 2008, "Color universal design"; their yellow is too pale on white.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: Final = "osD^vPX*"
HATCHES: Final = ("", "////", "....", "xxxx", "----", "\\\\\\\\", "++++")
DASHES: Final = ("-", "--", "-.", ":")
INK: Final = "#333333"
PALE: Final = "#888888"
GRID: Final = "#dddddd"
PAPER: Final = "#ffffff"

# The same by name, for a page: hue and order stay, lightness is chosen so that each stands out at 3:1 or more (WCAG 1.4.11).
LIGHT: Final = {
    "paper": PAPER,
    "ink": INK,
    "pale": "#666666",
    "grid": GRID,
    **{
        f"colour-{n}": one
        for n, one in enumerate(("#0072b2", "#c25500", "#00805d", "#b0578a", "#a06d00", "#2a86ba", "#000000"))
    },
}
DARK: Final = {
    "paper": "#15181c",
    "ink": "#e6e6e6",
    "pale": "#a8a8a8",
    "grid": "#3a3f45",
    **{
        f"colour-{n}": one
        for n, one in enumerate(("#4ba3dc", "#f08a4b", "#2fc497", "#dd9cc1", "#e69f00", "#8fd0f5", "#ffffff"))
    },
}
_NAMES: Final = {
    PAPER: "paper",
    INK: "ink",
    PALE: "pale",
    GRID: "grid",
    **{one.lower(): f"colour-{n}" for n, one in enumerate(COLOURS)},
}


def colour(place: int) -> str:
    """The colour of the n-th series, from 0; after the last one the first comes again."""
    return COLOURS[place % len(COLOURS)]


def on_page(drawn: str) -> str:
    """An SVG with each of these colours by the name that the page gives it, so that it follows light and dark."""
    for hexadecimal, name in _NAMES.items():
        drawn = drawn.replace(hexadecimal, f"var(--{name})")
    return drawn
