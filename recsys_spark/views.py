"""Views for those who read the lists: with titles, and the reason in words. SQL that Spark and DuckDB both run.

Below a root that is a catalogue they are registered in it. Delta keeps no views beside tables that lie at a path: there
`view_query` gives the text, over the tables' paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from recsys_spark import columns as c
from recsys_spark.recommend.reasons import BECAUSE, REASONS
from recsys_spark.schemas import TABLES
from recsys_spark.tables import Tables


@dataclass(frozen=True)
class View:
    """A view: what it is, its query over `{table}` for each table that it reads, and a query to try on it."""

    name: str
    purpose: str
    query: str
    example: str

    def tables(self) -> list[str]:
        """The tables that it reads."""
        return [name for name in TABLES if f"{{{name}}}" in self.query]


def view_query(view: View, sql_name: Callable[[str], str]) -> str:
    """The query with each table as `sql_name` names it."""
    query = view.query
    for name in view.tables():
        query = query.replace(f"{{{name}}}", sql_name(name))
    return query


def register_views(tables: Tables) -> dict[str, str]:
    """Put the views into the catalogue where the root is one; the query of each by name, over paths where it is not.

    A table that does not exist yet is made, without rows, where the views must find it. In the catalogue a view of the
    same name is replaced.
    """
    queries = {}
    for view in VIEWS.values():
        queries[view.name] = view_query(view, tables.sql_name)
        if tables.in_catalog:
            for name in view.tables():
                tables.ensure(TABLES[name])
            tables.create_view(view.name, queries[view.name])
    return queries


def reason_in_words(words: Mapping[str, str]) -> str:
    """A SQL expression over `r`, the rows, and `because`, the attributes of their reason items: the reason as a person reads it.

    Args:
        words: by reason_code; a code without any stays as it is.
    """
    title = f"COALESCE(because.{c.TITLE}, r.{c.REASON_ITEM_ID})"
    cases = [f"WHEN r.{c.REASON_ITEM_ID} <> r.{c.ITEM_ID} THEN {_text(BECAUSE)} || {title}"]
    cases += [f"WHEN r.{c.REASON_CODE} = {_text(code)} THEN {_text(said)}" for code, said in words.items()]
    return "CASE\n    " + "\n    ".join([*cases, f"ELSE r.{c.REASON_CODE}"]) + "\n  END"


def _text(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


_REASON: Final = reason_in_words(REASONS)
_TITLES: Final = """\
LEFT JOIN {item_attributes} AS item ON item.item_id = r.item_id
LEFT JOIN {item_attributes} AS because ON because.item_id = r.reason_item_id"""
_ROW: Final = f"""\
  r.variant, r.user_id, r.rank, r.item_id, item.title, item.brand, item.category, r.score,
  {_REASON} AS reason,
  r.reason_code, r.reason_item_id, because.title AS reason_title, r.propensity, r.model_version, r.run_id"""

VIEWS: Final[Mapping[str, View]] = {
    view.name: view
    for view in (
        View(
            "current_recommendations",
            "The published lists with titles, and the reason in words.",
            f"SELECT\n  r.as_of_date,\n{_ROW}\nFROM {{recommendations_current}} AS r\n{_TITLES}",
            """\
SELECT rank, title, reason
FROM current_recommendations
WHERE variant = 'default' AND user_id = '1'
ORDER BY rank""",
        ),
        View(
            "assigned_recommendations",
            "The published lists as experiments have them: each user's, of the variant assigned in layer `lists`; with a null "
            "`experiment` those of `default`, for users in none.",
            """\
SELECT a.experiment, r.*
FROM {recommendations_current} AS r
LEFT JOIN {assignments} AS a ON a.user_id = r.user_id AND a.layer = 'lists'
WHERE r.variant = COALESCE(a.variant, 'default')""",
            """\
SELECT experiment, variant, rank, item_id
FROM assigned_recommendations
WHERE user_id = '1'
ORDER BY rank""",
        ),
        View(
            "recommendations_as_of",
            "The lists of every date, likewise. Each holds from its `as_of_date` through `until_date`, the day before the "
            "variant's next lists (the end of 9999 for the newest).",
            f"""\
SELECT
  r.as_of_date, dates.until_date,
{_ROW}
FROM {{recommendations}} AS r
JOIN (
  SELECT variant, as_of_date, CAST(COALESCE(
    LEAD(as_of_date) OVER (PARTITION BY variant ORDER BY as_of_date) - INTERVAL '1' DAY, DATE '9999-12-31'
  ) AS DATE) AS until_date
  FROM (SELECT DISTINCT variant, as_of_date FROM {{recommendations}})
) AS dates ON dates.variant = r.variant AND dates.as_of_date = r.as_of_date
{_TITLES}""",
            """\
SELECT user_id, rank, title, reason
FROM recommendations_as_of
WHERE DATE '2024-02-03' BETWEEN as_of_date AND until_date AND variant = 'default'
ORDER BY user_id, rank""",
        ),
        View(
            "why",
            "Why a row of any date is there: its reason and sources, the model with the NDCG@10 that vouches for it, the run.",
            f"""\
SELECT
  r.as_of_date, r.variant, r.user_id, r.rank, r.item_id, item.title,
  {_REASON} AS reason,
  r.reason_code, r.reason_item_id, r.sources, r.propensity,
  r.model_version, m.model_name, m.as_of_date AS model_as_of_date, m.path AS model_path,
  m.evaluated_by, e.validation_ndcg,
  r.run_id, runs.started_at AS run_started_at, runs.code_version, runs.config_hash
FROM {{recommendations}} AS r
{_TITLES}
LEFT JOIN {{models}} AS m ON m.model_version = r.model_version
LEFT JOIN {{models}} AS e ON e.model_version = m.evaluated_by
LEFT JOIN {{runs}} AS runs ON runs.run_id = r.run_id""",
            """\
SELECT title, reason, sources, model_version, validation_ndcg, run_id
FROM why
WHERE as_of_date = DATE '2024-01-31' AND user_id = '1' AND rank = 1""",
        ),
    )
}
