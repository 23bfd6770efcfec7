"""MovieLens in all its shapes: ratings, and the users and movies beside them; plain or gzipped.

`movielens_files.py` lists the shapes. A path is a file of ratings, a folder that holds one, or a glob.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.datasets.movielens_files import GENRES, MOVIES, RATINGS, USERS, Kind, cut_rows, find
from recsys_spark.events import times
from recsys_spark.events.drafts import Source, event_drafts, item_drafts, user_drafts
from recsys_spark.events.fields import field, field_names, require_fields
from recsys_spark.events.lines import list_files
from recsys_spark.settings import Ingest

_YEAR_IN_TITLE: Final = r"\((\d{4})\)\s*$"


def read(spark: SparkSession, config: Ingest) -> Source:
    """Ratings, and users and movies where they lie beside them or where `items_path` and `users_path` say.

    Raises:
        UserError: no known file, or several shapes of the same one.
    """
    ratings = find(RATINGS, list_files(spark, config.path), config.path)
    beside = list_files(spark, ratings[0].rpartition("/")[0])
    movies = _attributes(spark, MOVIES, config.items_path, beside)
    users = _attributes(spark, USERS, config.users_path, beside)
    return Source(
        events=_events(cut_rows(spark, RATINGS, ratings), config),
        items=_items(movies) if movies else None,
        users=_users(users) if users else None,
        keyed=bool(config.event_id),
    )


def _attributes(spark: SparkSession, kind: Kind, path: str, beside: list[str]) -> DataFrame | None:
    files = find(kind, list_files(spark, path), path) if path else find(kind, beside)
    return cut_rows(spark, kind, files) if files else None


def _events(rows: DataFrame, config: Ingest) -> DataFrame:
    require_fields(config.event_id, field_names(rows), "ingest.event_id")
    return event_drafts(
        rows,
        user_id=field(rows, "user_id"),
        item_id=field(rows, "item_id"),
        event_time=times.from_epoch(field(rows, "timestamp")),
        time_text=field(rows, "timestamp"),
        event_type=F.lit(config.event_type),
        value=field(rows, "rating"),
        key=[field(rows, name) for name in config.event_id],
    )


def _users(rows: DataFrame) -> DataFrame:
    return user_drafts(
        rows,
        user_id=field(rows, "user_id"),
        gender=_first(rows, "gender"),
        age=_first(rows, "age"),
        attributes=_others(rows, "user_id", "gender", "age"),
    )


def _items(rows: DataFrame) -> DataFrame:
    title = _first(rows, "title", "movie_title")
    in_title = F.regexp_extract(title, _YEAR_IN_TITLE, 1) if title is not None else None
    return item_drafts(
        rows,
        item_id=field(rows, "item_id"),
        title=title,
        category=_genres(rows),
        year=in_title if in_title is not None and not _has(rows, "release_year") else _first(rows, "release_year"),
        attributes=_others(rows, "item_id", "title", "movie_title", "genres", "class", "release_year", *GENRES),
    )


def _genres(rows: DataFrame) -> Column | None:
    """Genres joined by |: written so, or separated by spaces, or as one flag each."""
    if _has(rows, "genres"):
        return F.when(field(rows, "genres") != "(no genres listed)", field(rows, "genres"))
    if _has(rows, "class"):
        return F.regexp_replace(field(rows, "class"), " +", "|")
    flagged = [F.when(field(rows, genre) == "1", genre) for genre in GENRES if _has(rows, genre)]
    return F.concat_ws("|", *flagged) if flagged else None


def _others(rows: DataFrame, *used: str) -> dict[str, Column]:
    return {name: field(rows, name) for name in field_names(rows) if name not in used}


def _first(rows: DataFrame, *names: str) -> Column | None:
    return next((field(rows, name) for name in names if _has(rows, name)), None)


def _has(rows: DataFrame, name: str) -> bool:
    return name in field_names(rows)
