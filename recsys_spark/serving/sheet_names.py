"""The names of what is written down beside a night's lists: `sheets` writes it, `night_routes` reads it."""

from __future__ import annotations

from typing import Final

HEALTH: Final = "health"
MAP: Final = "map"
