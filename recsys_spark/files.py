"""What the feed knows of a data file; plain data, so that neither a rank nor a loader of artifacts needs Spark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LiveFile:
    """One data file of a pinned version: where it lies and how many rows the log counts in it."""

    url: str
    rows: int
