"""Which tables hold people, and by which columns: derived from `schemas.TABLES`, so that a new table cannot be forgotten."""

from __future__ import annotations

from typing import Final

from recsys_spark import columns as c
from recsys_spark.schemas import TABLES, Table
from recsys_spark.tables import Tables

KEYS: Final = (c.USER_ID, c.USER_IDX)
TEXTS: Final = (c.RAW, c.DETAIL, c.ERROR)  # texts that may hold anything, the rows of a source among it


def keyed_by(table: Table, column: str) -> bool:
    """Whether the rows of a table are of the people that a column names."""
    return column in table.schema.names


def texts_of(table: Table) -> tuple[str, ...]:
    """The columns of a table that may name people in their text."""
    return tuple(name for name in TEXTS if name in table.schema.names)


def holds_people(table: Table) -> bool:
    """Whether a table has rows of people, or text that may name them."""
    return any(keyed_by(table, key) for key in KEYS) or bool(texts_of(table))


def covered(tables: Tables) -> list[Table]:
    """The tables below a root that hold people."""
    return [table for table in TABLES.values() if holds_people(table) and tables.exists(table.name)]
