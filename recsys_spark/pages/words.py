"""Figures in words: how a cell of a table, or the end of a bar, is written."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from recsys_spark.pages.chart import Chart


class Share(float):
    """A part of a whole, from 0 to 1, shown in percent."""


Cell: TypeAlias = "str | int | float | Share | date | Chart | None"


def shown(value: object) -> str:
    """A value as people read it: thousands apart, four figures, shares in percent, a dash for what is not there.

    >>> shown(1234567), shown(3.14159), shown(Share(0.1234)), shown(None), shown(0.00001234)
    ('1,234,567', '3.142', '12.3%', '-', '1.234e-05')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, Share):
        return f"{float(value):.1%}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def short(count: float) -> str:
    """A count in few letters, for an axis.

    >>> short(950), short(12345), short(2500000), short(0.25)
    ('950', '12.3k', '2.5M', '0.25')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.4g}"


def cut(text: str, most: int) -> str:
    """A text of at most so many letters; one that is longer ends in dots."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def anchor(title: str) -> str:
    """A title as the name of a place on a page, or of a file.

    >>> anchor("Ratings by gender & category")
    'ratings-by-gender-category'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "part"
