"""The store in PostgreSQL: two tables a night, which workers fill by COPY, and one row a variant that says which is live.

`nights` has a row a night, `loaded` one for each shard that is in, `live` one a variant. A shard is one transaction that
enters it in `loaded` first: a task that is run twice waits there for the other, and then does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from recsys_spark import storage
from recsys_spark.errors import LeaseLostError
from recsys_spark.serving.loading import ITEMS_PART, ItemRow, ListRow, Part, Turn, begun_later, with_words
from recsys_spark.serving.store import About

_MADE: Final[tuple[LiteralString, ...]] = (
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    """CREATE TABLE IF NOT EXISTS {schema}.nights (
        id serial PRIMARY KEY, name text UNIQUE NOT NULL, variant text, as_of_date date, model_version text,
        version bigint, users bigint, went_live bigint)""",
    """CREATE TABLE IF NOT EXISTS {schema}.loaded (
        night integer REFERENCES {schema}.nights ON DELETE CASCADE, shard integer, PRIMARY KEY (night, shard))""",
    """CREATE TABLE IF NOT EXISTS {schema}.live (
        variant text PRIMARY KEY, night integer NOT NULL REFERENCES {schema}.nights)""",
    "ALTER TABLE {schema}.live ADD COLUMN IF NOT EXISTS lease text, ADD COLUMN IF NOT EXISTS turn bigint",
    """CREATE TABLE IF NOT EXISTS {schema}.sheets (
        night integer REFERENCES {schema}.nights ON DELETE CASCADE, name text, body text NOT NULL,
        PRIMARY KEY (night, name))""",
    "CREATE SEQUENCE IF NOT EXISTS {schema}.turn",
)
_OF_NIGHT: Final[tuple[LiteralString, ...]] = (
    'CREATE TABLE IF NOT EXISTS {lists} (user_id text COLLATE "C" NOT NULL, list text NOT NULL, history text)',
    """CREATE TABLE IF NOT EXISTS {items} (
        item_idx integer NOT NULL, item_id text NOT NULL, title text, category text, brand text, price double precision,
        year integer, users bigint NOT NULL, listed boolean NOT NULL, words tsvector NOT NULL)""",
)
# after the rows: an index that grows row by row takes longer
_INDEXED: Final[tuple[LiteralString, ...]] = (
    "ALTER TABLE {lists} ADD PRIMARY KEY (user_id)",
    "ALTER TABLE {items} ADD PRIMARY KEY (item_id)",
    "CREATE UNIQUE INDEX ON {items} (item_idx)",
    "CREATE INDEX ON {items} (users DESC, item_idx) WHERE listed",
    "CREATE INDEX ON {items} USING gin (words)",
    "ANALYZE {lists}",
    "ANALYZE {items}",
)
# of two that change a row at once, the second sees what the first has left
_LIVE: Final = """\
INSERT INTO {live} AS l (variant, night, lease, turn) SELECT variant, id, %s, %s FROM {nights} WHERE name = %s
ON CONFLICT (variant) DO UPDATE SET night = excluded.night,
    lease = coalesce(excluded.lease, l.lease), turn = coalesce(excluded.turn, l.turn)
WHERE excluded.turn IS NULL OR l.turn IS NULL OR excluded.lease <> l.lease OR excluded.turn > l.turn"""
_NOT_KEPT: Final = """\
SELECT id, name, went_live IS NOT NULL FROM {nights} WHERE id NOT IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY variant ORDER BY went_live DESC) AS place
        FROM {nights} WHERE went_live IS NOT NULL
    ) AS by_variant WHERE place <= %s
)"""
_ABOUT: Final = sql.SQL(", ").join(map(sql.Identifier, About.__dataclass_fields__))


def lists_table(schema: str, night: int) -> sql.Identifier:
    """The table of a night's lists: user_id, list."""
    return sql.Identifier(schema, f"lists_{night}")


def items_table(schema: str, night: int) -> sql.Identifier:
    """The table of a night's catalogue."""
    return sql.Identifier(schema, f"items_{night}")


@dataclass(frozen=True)
class PostgresLoader:
    """See `loading.Loader`."""

    dsn: str = field(repr=False)
    schema: str
    night: int

    def add_lists(self, shard: int, rows: Iterable[ListRow]) -> Part:
        copy = sql.SQL("COPY {} (user_id, list, history) FROM STDIN").format(lists_table(self.schema, self.night))
        return self._add(shard, copy, rows)

    def add_items(self, rows: Iterable[ItemRow]) -> Part:
        columns = sql.SQL(", ").join(map(sql.Identifier, (*ItemRow._fields, "words")))
        copy = sql.SQL("COPY {} ({}) FROM STDIN").format(items_table(self.schema, self.night), columns)
        return self._add(ITEMS_PART, copy, ((*row, _vector(words)) for row, words in with_words(rows)))

    def _add(self, shard: int, copy: sql.Composed, rows: Iterable[Sequence[Any]]) -> Part:
        entered = sql.SQL("INSERT INTO {} VALUES (%s, %s) ON CONFLICT DO NOTHING").format(
            sql.Identifier(self.schema, "loaded")
        )
        count = 0
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            if cursor.execute(entered, (self.night, shard)).rowcount:
                with cursor.copy(copy) as copying:
                    for row in rows:
                        copying.write_row(row)
                        count += 1
            else:
                count = sum(1 for _ in rows)  # another attempt at this task has brought the same rows
        return Part(shard, str(self.night), count)


@dataclass(frozen=True)
class PostgresKeeper:
    """See `loading.Keeper`. Names of nights are texts, tables are called by the night's number.

    Args:
        models: a folder of storage, below which each night's live model lies under the night's name.
    """

    dsn: str = field(repr=False)
    schema: str
    models: str = ""

    def loader(self, night: str) -> PostgresLoader:
        self._make()
        with self._at_work() as work:
            number = work.value(
                "INSERT INTO {nights} (name) VALUES (%s) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
                night,
            )
            for statement in _OF_NIGHT:
                work.execute(statement, night=number)
        return PostgresLoader(self.dsn, self.schema, number)

    def finish(self, about: About, shards: int, parts: Sequence[Part]) -> None:
        with self._at_work() as work:
            number = work.value("SELECT id FROM {nights} WHERE name = %s", about.name)
            for statement in _INDEXED:
                work.execute(statement, night=number)
            work.execute(
                "UPDATE {nights} SET variant = %s, as_of_date = %s, model_version = %s, version = %s, users = %s WHERE id = %s",
                about.variant, about.as_of_date, about.model_version, about.version, about.users, number,
            )  # fmt: skip

    def kept(self, variant: str) -> list[About]:
        with self._at_work() as work:
            if not work.there():
                return []
            query = "SELECT {about} FROM {nights} WHERE variant = %s AND went_live IS NOT NULL ORDER BY went_live DESC"
            return work.abouts(query, variant)

    def variants(self) -> list[str]:
        with self._at_work() as work:
            return work.column("SELECT variant FROM {live} ORDER BY variant") if work.there() else []

    def model_folder(self, night: str) -> str:
        return storage.join(self.models, night)

    def go_live(self, about: About, keep: int, turn: Turn | None = None) -> None:
        self._make()
        lease, number = turn or (None, None)
        with self._at_work() as work:
            if not work.execute(_LIVE, lease, number, about.name).rowcount:
                raise LeaseLostError(
                    f"another run took the lease of the root of schema {self.schema}, where its night stays live"
                )
            work.execute(
                "UPDATE {nights} SET went_live = nextval(%s) WHERE name = %s", f"{self.schema}.turn", about.name
            )
            for night, name, was_live in work.execute(_NOT_KEPT, keep).fetchall():
                if was_live or not begun_later(name, turn):
                    work.drop(night)
            spared = set(work.column("SELECT name FROM {nights}"))
        for name in set(storage.folders(self.models)) - spared if self.models else ():
            if not begun_later(name, turn):
                storage.delete_folder(storage.join(self.models, name))

    def copy_items(self, of: About, night: str) -> Part:
        loader = self.loader(night)
        with self._at_work() as work:
            number = work.value("SELECT id FROM {nights} WHERE name = %s", of.name)
            work.execute("TRUNCATE {items}", night=loader.night)
            copied = sql.SQL("INSERT INTO {} SELECT * FROM {}").format(
                items_table(self.schema, loader.night), items_table(self.schema, number)
            )
            work.cursor.execute(copied)
        return Part(ITEMS_PART, str(loader.night), 0)

    def add_sheet(self, night: str, name: str, text: str) -> None:
        with self._at_work() as work:
            number = work.value("SELECT id FROM {nights} WHERE name = %s", night)
            work.execute(
                "INSERT INTO {sheets} VALUES (%s, %s, %s) ON CONFLICT (night, name) DO UPDATE SET body = excluded.body",
                number,
                name,
                text,
            )

    def sheet(self, night: str, name: str) -> str | None:
        with self._at_work() as work:
            if not work.there("sheets"):
                return None
            bodies = work.column(
                "SELECT body FROM {sheets} AS s JOIN {nights} AS n ON n.id = s.night WHERE n.name = %s AND s.name = %s",
                night,
                name,
            )
        return bodies[0] if bodies else None

    def remove(self) -> None:
        with self._at_work() as work:
            work.execute("DROP SCHEMA IF EXISTS {schema} CASCADE")
        if self.models:
            storage.delete_folder(self.models)

    def nights(self) -> list[int]:
        """Every night that has tables, whole or not."""
        with self._at_work() as work:
            return work.column("SELECT id FROM {nights} ORDER BY id") if work.there() else []

    def users_of(self, night: int) -> Iterator[str]:
        """The users of a night, some at a time."""
        with psycopg.connect(self.dsn) as connection, connection.cursor("users") as cursor:
            query = sql.SQL("SELECT user_id FROM {}").format(lists_table(self.schema, night))
            yield from (user_id for (user_id,) in cursor.execute(query))

    def _make(self) -> None:
        """In a transaction of its own, as it keeps readers waiting."""
        with self._at_work() as work:
            for statement in _MADE:
                work.execute(statement)

    @contextmanager
    def _at_work(self) -> Iterator[_Work]:
        """One transaction."""
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            yield _Work(cursor, self.schema)


@dataclass(frozen=True)
class _Work:
    """Statements that name `{schema}`, its tables and, where a night is given, `{lists}` and `{items}`."""

    cursor: psycopg.Cursor[Any]
    schema: str

    def execute(self, statement: LiteralString, *values: Any, night: int | None = None) -> psycopg.Cursor[Any]:
        names = {name: sql.Identifier(self.schema, name) for name in ("nights", "loaded", "live", "sheets")}
        if night is not None:
            names |= {"lists": lists_table(self.schema, night), "items": items_table(self.schema, night)}
        composed = sql.SQL(statement).format(schema=sql.Identifier(self.schema), about=_ABOUT, **names)
        return self.cursor.execute(composed, values or None)

    def column(self, statement: LiteralString, *values: Any) -> list[Any]:
        return [value for (value,) in self.execute(statement, *values)]

    def value(self, statement: LiteralString, *values: Any) -> Any:
        (found,) = self.column(statement, *values)
        return found

    def abouts(self, statement: LiteralString, *values: Any) -> list[About]:
        rows = self.execute(statement, *values)
        rows.row_factory = class_row(About)
        return rows.fetchall()

    def there(self, table: str = "live") -> bool:
        """Whether anything was ever loaded; or whether another table is there, which came later than the first stores."""
        found = self.cursor.execute("SELECT to_regclass(%s)", [f'"{self.schema}".{table}']).fetchone()
        return found is not None and found[0] is not None

    def drop(self, night: int) -> None:
        for table in (lists_table(self.schema, night), items_table(self.schema, night)):
            self.cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        self.execute("DELETE FROM {nights} WHERE id = %s", night)


def _vector(words: str) -> str:
    """Words as a tsvector is written: as they are, as PostgreSQL's own parser would divide some otherwise."""
    return " ".join(f"'{word}'" for word in words.split())
