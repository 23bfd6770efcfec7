"""Lines cut into named fields: delimited text, CSV with quotes, or JSON; a line that will not be cut says why.

Each adds `fields`, a struct of texts under the source's own names, and `fault`, which is null for a good line.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructType

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.transform import Transformer

FIELDS: Final = "fields"
FAULT: Final = "fault"

_PARSED, _BAD = "_parsed", "_bad"
_NAMES, _NAME_LENGTH = 40, 40  # as many names, and as much of each, as a message shows


def split_fields(names: Sequence[str], pattern: str, called: str) -> Transformer:
    """Cut at each match of a pattern that never stands within a field.

    Args:
        called: the delimiter's name in messages.
    """

    def cut(lines: DataFrame) -> DataFrame:
        parts = lines.withColumn(_PARSED, F.split(c.RAW, pattern))
        found = F.size(_PARSED)
        fault = F.concat(F.lit(f"expected {len(names)} fields between {called}, found "), found)
        fields = F.struct(*[F.get(_PARSED, F.lit(place)).alias(name) for place, name in enumerate(names)])
        return _cut(parts, F.when(found != len(names), fault), fields)

    return cut


def csv_fields(names: Sequence[str], delimiter: str = ",") -> Transformer:
    """Cut as CSV, with double quotes around fields and doubled within them; a field cannot span lines."""
    options = {"sep": delimiter, "escape": '"', "columnNameOfCorruptRecord": _BAD}

    def cut(lines: DataFrame) -> DataFrame:
        parsed = lines.withColumn(_PARSED, F.from_csv(c.RAW, _texts([*names, _BAD]), options))
        fault = F.lit(f"expected {len(names)} CSV fields between {delimiter!r}")
        return _cut(parsed, F.when(F.col(_PARSED)[_BAD].isNotNull(), fault), _parsed(names))

    return cut


def json_fields(names: Sequence[str]) -> Transformer:
    """Pick named fields of a JSON object a line, nested values as JSON text; Python's single quotes pass too."""
    options = {"columnNameOfCorruptRecord": _BAD, "allowBackslashEscapingAnyCharacter": "true"}

    def cut(lines: DataFrame) -> DataFrame:
        parsed = lines.withColumn(_PARSED, F.from_json(c.RAW, _texts([*names, _BAD]), options))
        bad = F.col(_PARSED).isNull() | F.col(_PARSED)[_BAD].isNotNull()
        return _cut(parsed, F.when(bad, F.lit("expected one JSON object")), _parsed(names))

    return cut


def without_header(lines: DataFrame) -> DataFrame:
    """The lines but the first of each file."""
    return lines.where(F.col(c.LINE) > 1)


def header_names(heads: Mapping[str, str], delimiter: str) -> list[str]:
    """The columns that the header names, the same in all files; a nameless one is called by its place, from 0.

    Raises:
        UserError: the files' headers differ.
    """
    first, *others = sorted(heads)
    different = [source for source in others if heads[source].strip() != heads[first].strip()]
    if different:
        raise UserError(
            f"{first} and {different[0]} have different headers ({heads[first].strip()!r}, "
            f"{heads[different[0]].strip()!r}); ingest them one by one"
        )
    names: list[str] = []
    for place, name in enumerate(cells(heads[first], delimiter)):
        taken = name.lower() in (other.lower() for other in names)
        names.append(f"{name}_{place}" if taken else name or str(place))
    return names


def numbered_names(heads: Mapping[str, str], delimiter: str) -> list[str]:
    """What columns without a header are called: 0, 1, 2, ..., as many as the widest first line has."""
    return [str(place) for place in range(max(len(cells(head, delimiter)) for head in heads.values()))]


def cells(line: str, delimiter: str) -> list[str]:
    """One line's fields, on the driver; csv knows only delimiters of one character."""
    stripped = line.rstrip("\r\n")
    found = next(csv.reader([stripped], delimiter=delimiter), []) if len(delimiter) == 1 else stripped.split(delimiter)
    return [cell.strip() for cell in found]


def field_names(rows: DataFrame) -> list[str]:
    """The names of the fields that rows were cut into."""
    return list(_struct(rows).names)


def field(rows: DataFrame, name: str) -> Column:
    """A field by its name; `a.b` reaches into a nested one, whether a struct or JSON text.

    Raises:
        KeyError: there is none; see `require_fields`.
    """
    kind = _struct(rows)
    if name in kind.names:
        return F.col(FIELDS).getField(name)
    outer, dot, inner = name.partition(".")
    if not dot or outer not in kind.names:
        raise KeyError(name)
    if isinstance(kind[outer].dataType, StringType):
        return F.get_json_object(F.col(FIELDS).getField(outer), f"$.{inner}")
    return F.col(FIELDS)[outer][inner]


def field_type(rows: DataFrame, name: str) -> DataType:
    """The type of a field by its name, see `field`."""
    return rows.select(field(rows, name)).schema[0].dataType


def require_fields(wanted: Iterable[str], present: Sequence[str], where: str) -> None:
    """Check that a source has the columns that are asked of it; `a.b` asks for `a`.

    Raises:
        UserError: one is missing; the message names the nearest, and all that are there.
    """
    for name in wanted:
        if name in present or name.partition(".")[0] in present:
            continue
        near = difflib.get_close_matches(name, present, n=1, cutoff=0.0)
        hint = f"; did you mean {near[0][:_NAME_LENGTH]!r}?" if near else ";"
        known = ", ".join(repr(other[:_NAME_LENGTH]) for other in present[:_NAMES])
        raise UserError(f"{where}: no column {name!r}{hint} its columns are {known or 'none'}")


def _struct(rows: DataFrame) -> StructType:
    kind = rows.schema[FIELDS].dataType
    assert isinstance(kind, StructType)
    return kind


def _cut(rows: DataFrame, fault: Column, fields: Column) -> DataFrame:
    return rows.select(c.SOURCE, c.LINE, c.RAW, fault.alias(FAULT), fields.alias(FIELDS))


def _parsed(names: Sequence[str]) -> Column:
    return F.struct(*[F.col(_PARSED).getField(name).alias(name) for name in names])


def _texts(names: Sequence[str]) -> str:
    return ", ".join("`" + name.replace("`", "``") + "` STRING" for name in names)
