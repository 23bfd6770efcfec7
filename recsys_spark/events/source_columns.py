"""What columns outside sources have, held against what they had before: a new one is noted, another type is refused.

Files and tables say a type beside each value, or say none (text). An id that turns from 5 into 5.0 would be another
user, so a column that is read must keep its type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.runs import Run
from recsys_spark.schemas import SOURCE_COLUMNS

TEXT = "text"  # the type of columns whose source tells none


@dataclass(frozen=True)
class Shape:
    """The columns of a source with their types, and those of them that are read."""

    types: Mapping[str, str]
    read: Collection[str]

    @classmethod
    def of(cls, schema: StructType, read: Iterable[str]) -> Shape:
        """That of a frame; columns within structs are called `a.b`."""
        return cls(dict(_leaves(schema, "")), tuple(read))

    @classmethod
    def of_texts(cls, names: Iterable[str], read: Iterable[str]) -> Shape:
        """That of lines of text."""
        return cls(dict.fromkeys(names, TEXT), tuple(read))

    def reads(self, column: str) -> bool:
        """Whether a column, something within it, or what it stands in is read."""
        return any(f"{name}.".startswith(f"{column}.") or f"{column}.".startswith(f"{name}.") for name in self.read)


@dataclass(frozen=True)
class Seen:
    """What is to be remembered of sources: `(source, column, type)` that are new or of a new type."""

    rows: tuple[tuple[str, str, str], ...]
    is_first: bool

    def remember(self, run: Run) -> None:
        """Write it to `source_columns`; nothing where there is nothing new."""
        if not self.rows:
            return
        now = datetime.now(UTC)
        frame = run.spark.createDataFrame([(*row, now, run.run_id) for row in self.rows], SOURCE_COLUMNS.schema)
        if self.is_first:
            run.tables.append(SOURCE_COLUMNS, frame)
        else:
            run.tables.upsert_latest(SOURCE_COLUMNS, frame, c.SEEN_AT)


def hold(run: Run, shapes: Mapping[str, Shape]) -> Seen:
    """Hold sources against `source_columns` and note what is new; to be remembered once they have been taken in.

    Args:
        shapes: by what the source tells of and how it is read, the same each night.

    Raises:
        UserError: a column that is read has another type than before, and `ingest.accept_type_changes` is not set.
    """
    of_source = {f"{run.config.dataset}/{name}": shape for name, shape in shapes.items()}
    if not of_source:
        return Seen((), is_first=False)
    is_first = not run.tables.exists(SOURCE_COLUMNS.name)
    known: dict[str, dict[str, str]] = {source: {} for source in of_source}
    if not is_first:
        rows = run.tables.read(SOURCE_COLUMNS.name).where(F.col(c.SOURCE).isin(*of_source))
        for row in collect_rows(rows, "the columns of the sources", run.config.run.driver_bytes):
            known[row[c.SOURCE]][row[c.SOURCE_COLUMN]] = row[c.TYPE]
    news = []
    for source, shape in of_source.items():
        run.notes += differences(source, known[source], shape, run.config.ingest.accept_type_changes)
        news += [(source, name, kind) for name, kind in shape.types.items() if known[source].get(name) != kind]
    return Seen(tuple(news), is_first)


def differences(source: str, before: Mapping[str, str], shape: Shape, accept: bool) -> list[str]:
    """What a person should know of a source's columns against those it had; nothing where it is new.

    Raises:
        UserError: a column that is read has another type, and that is not accepted.
    """
    notes = []
    for name, kind in shape.types.items() if before else ():
        used = "" if shape.reads(name) else ", which is not read"
        if name not in before:
            notes.append(f"{source}: new column `{name}` ({kind}){used}")
        elif before[name] != kind and (accept or used):
            notes.append(f"{source}: column `{name}` is {kind} now, it was {before[name]}{used}")
        elif before[name] != kind:
            raise UserError(
                f"{source}: column `{name}` is {kind}, expected {before[name]} as before: the same ids and values may read "
                "otherwise; have the source give the old type, or take the new one with --set ingest.accept_type_changes=true"
            )
    return notes


def _leaves(schema: StructType, prefix: str) -> Iterator[tuple[str, str]]:
    for field in schema:
        if isinstance(field.dataType, StructType):
            yield from _leaves(field.dataType, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.dataType.simpleString()
