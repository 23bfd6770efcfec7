"""The files of the MovieLens releases: what they are called and how their lines are cut.

| release | ratings | users | movies |
| --- | --- | --- | --- |
| 1M, 10M | `ratings.dat`, `::` between fields | `users.dat` (1M only) | `movies.dat` |
| 100K | `u.data`, tabs | `u.user`, pipes | `u.item`, pipes |
| latest, 20M, 25M, 32M | `ratings.csv`, with header | | `movies.csv`, with header |
| RecBole's copies | `NAME.inter`, tabs, header of `name:type` | `NAME.user` | `NAME.item` |

Each may end in `.gz`. Text is UTF-8, or ISO-8859-1 in the lines that are not (movies of 100K and 1M). Source: the
README of each release at https://files.grouplens.org/datasets/movielens/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.errors import UserError
from recsys_spark.events.fields import (
    cells,
    csv_fields,
    header_names,
    require_fields,
    split_fields,
    without_header,
)
from recsys_spark.events.lines import Lines, read_lines
from recsys_spark.spark_errors import shown

Cut = Callable[[Lines], DataFrame]


@dataclass(frozen=True)
class Kind:
    """One kind of file: its name in messages, and its shapes, each a name (its ending is the shape) and a cut."""

    called: str
    shapes: dict[str, Cut]


def _split(names: Sequence[str], pattern: str, called: str) -> Cut:
    return lambda lines: lines.rows.transform(split_fields(names, pattern, called))


def _csv(**names: str) -> Cut:
    """CSV whose header has these columns in this order, under our names."""

    def cut(lines: Lines) -> DataFrame:
        for source, head in lines.heads.items():
            if cells(head, ",") != list(names):
                raise UserError(f"{source}: the first line is {head[:80]!r}, expected {','.join(names)}")
        return lines.rows.transform(without_header).transform(csv_fields(list(names.values())))

    return cut


def _typed(*required: str) -> Cut:
    """Tabs, and a header of `name:type`."""

    def cut(lines: Lines) -> DataFrame:
        names = [name.partition(":")[0] for name in header_names(lines.heads, "\t")]
        require_fields(required, names, ", ".join(lines.heads))
        return lines.rows.transform(without_header).transform(split_fields(names, "\t", "tabs"))

    return cut


GENRES: Final = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_RATING: Final = ("user_id", "item_id", "rating", "timestamp")
_MOVIE: Final = ("item_id", "title", "release_date", "video_release_date", "imdb_url")

RATINGS: Final = Kind(
    "ratings",
    {
        "ratings.dat": _split(_RATING, "::", "'::'"),
        "u.data": _split(_RATING, "\t", "tabs"),
        "ratings.csv": _csv(userId="user_id", movieId="item_id", rating="rating", timestamp="timestamp"),
        "*.inter": _typed(*_RATING),
    },
)
MOVIES: Final = Kind(
    "movies",
    {
        "movies.dat": _split(("item_id", "title", "genres"), "::", "'::'"),
        "u.item": _split((*_MOVIE, *GENRES), r"\|", "'|'"),
        "movies.csv": _csv(movieId="item_id", title="title", genres="genres"),
        "*.item": _typed("item_id"),
    },
)
USERS: Final = Kind(
    "users",
    {
        "users.dat": _split(("user_id", "gender", "age", "occupation", "zip_code"), "::", "'::'"),
        "u.user": _split(("user_id", "age", "gender", "occupation", "zip_code"), r"\|", "'|'"),
        "*.user": _typed("user_id"),
    },
)


def find(kind: Kind, files: Sequence[str], path: str = "") -> list[str]:
    """Those of the files that are of a kind; a single one may have any name with a shape's ending.

    Args:
        path: where they were looked for, if there must be one.

    Raises:
        UserError: there must be one and is none, or they have several shapes.
    """
    named = [file for file in files if _shape(kind, file, whole_name=True)]
    is_file = len(files) == 1 and files[0].endswith("/" + path.rpartition("/")[2])
    found = named or [file for file in files if is_file and _shape(kind, file, whole_name=False)]
    shapes = {_shape(kind, file, whole_name=bool(named)) for file in found}
    if len(shapes) > 1:
        raise UserError(f"{shown(found[0])} and {shown(found[-1])} are both {kind.called}; name the one to read")
    if path and not found:
        expected = ", ".join(kind.shapes)
        present = ", ".join(file.rpartition("/")[2] for file in files[:10])
        raise UserError(
            f"{path}: no MovieLens {kind.called} here; expected {expected} (or with .gz), found {present}. "
            "For files of other names or forms set ingest.format=mapping"
        )
    return found


def cut_rows(spark: SparkSession, kind: Kind, files: Sequence[str]) -> DataFrame:
    """Files of one shape -> rows `(source, line, raw, fault, fields)`."""
    shape = _shape(kind, files[0], whole_name=True) or _shape(kind, files[0], whole_name=False)
    return kind.shapes[shape](read_lines(spark, files, encoding="UTF-8", otherwise="ISO-8859-1"))


def _shape(kind: Kind, file: str, whole_name: bool) -> str:
    """The shape of a file by its name, or by its ending alone; empty where it has none."""
    name = file.rpartition("/")[2].removesuffix(".gz")
    patterns = {shape: shape if whole_name else "*" + shape[shape.index(".") :] for shape in kind.shapes}
    return next((shape for shape, pattern in patterns.items() if fnmatchcase(name, pattern)), "")
