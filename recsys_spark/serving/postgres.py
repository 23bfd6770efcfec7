"""The store in PostgreSQL, read: a pool of connections, short queries, and plain words where it does not answer.

A replica may be read as well as the primary: what is live arrives there after the tables that it names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from recsys_spark import storage
from recsys_spark.serving.item_cache import ItemCache
from recsys_spark.serving.live_model import LiveModel, live_model_at
from recsys_spark.serving.postgres_tables import items_table, lists_table
from recsys_spark.serving.store import About, Entry, Item, Night, StoreUnavailableError, entries
from recsys_spark.serving.text import LAST, words

_WAIT_SECONDS: Final = 1.0  # for a connection
_RECONNECT_SECONDS: Final = 2.0  # after which the next request begins anew, so that a restarted server is found soon
_OF_ITEM: Final = sql.SQL(", ").join(map(sql.Identifier, Item._fields))


class PostgresStore:
    """See `store.Store`.

    Args:
        dsn: how libpq connects; several hosts and `target_session_attrs` choose among replicas.
        connections: the most that are open at once.
        seconds: that one query may take.
        models: a folder of storage, below which each night's live model lies; empty: nothing is answered live.
    """

    def __init__(self, dsn: str, schema: str, connections: int, seconds: float, models: str = "") -> None:
        self._schema, self._models = schema, models
        self._live: dict[str, PostgresNight] = {}
        limits = f"-c statement_timeout={int(1000 * seconds)} -c default_transaction_read_only=on"
        self._pool = ConnectionPool(
            dsn,
            min_size=1,
            max_size=connections,
            kwargs={"autocommit": True, "options": limits, "connect_timeout": 2},
            check=ConnectionPool.check_connection,  # one that a restart has broken is replaced, not handed out
            reconnect_timeout=_RECONNECT_SECONDS,
            open=True,
        )

    def live(self) -> Mapping[str, Night]:
        return self._live

    def refresh(self) -> bool:
        wanted = self._wanted()
        opened = {night.about: night for night in self._live.values()}
        if wanted.keys() == self._live.keys() and all(about in opened for about, _ in wanted.values()):
            return False
        self._live = {
            variant: opened.get(about) or PostgresNight(self._pool, self._schema, number, about, self._model(about))
            for variant, (about, number) in wanted.items()
        }
        return True

    def close(self) -> None:
        self._live = {}
        self._pool.close()

    def _model(self, about: About) -> LiveModel | None:
        return live_model_at(storage.join(self._models, about.name)) if self._models else None

    def _wanted(self) -> dict[str, tuple[About, int]]:
        if not _there(self._pool, self._schema, "live"):
            return {}
        query = sql.SQL("SELECT n.id, {} FROM {} AS l JOIN {} AS n ON n.id = l.night").format(
            sql.SQL(", ").join(sql.Identifier("n", name) for name in About.__dataclass_fields__),
            sql.Identifier(self._schema, "live"),
            sql.Identifier(self._schema, "nights"),
        )
        found = [(About(*row), int(number)) for number, *row in _rows(self._pool, query, [])]
        return {about.variant: (about, number) for about, number in found}


class PostgresNight:
    """See `store.Night`."""

    quick = False

    def __init__(
        self, pool: ConnectionPool[Any], schema: str, number: int, about: About, model: LiveModel | None = None
    ) -> None:
        self.about, self.model = about, model
        self._pool = pool
        self._lists = sql.SQL("SELECT user_id, list FROM {} WHERE user_id = ANY(%s)").format(
            lists_table(schema, number)
        )
        self._items = sql.SQL("SELECT {} FROM {} ").format(_OF_ITEM, items_table(schema, number))
        self._users = sql.SQL(
            "SELECT user_id FROM {} WHERE user_id >= %s AND user_id <= %s ORDER BY user_id LIMIT %s"
        ).format(lists_table(schema, number))
        self._sheets = sql.SQL("SELECT body FROM {} WHERE night = {} AND name = %s").format(
            sql.Identifier(schema, "sheets"), sql.Literal(number)
        )
        self._schema = schema
        by_id = self._items + sql.SQL("WHERE item_id = ANY(%s)")
        self._cache = ItemCache(lambda ids: [Item(*row) for row in _rows(pool, by_id, [ids])])
        self._history = sql.SQL("SELECT history FROM {} WHERE user_id = %s").format(lists_table(schema, number))
        of_items = items_table(schema, number)
        self._indices = sql.SQL("SELECT item_id, item_idx FROM {} WHERE item_id = ANY(%s)").format(of_items)
        self._numbered = sql.SQL("SELECT item_idx, {} FROM {} WHERE item_idx = ANY(%s)").format(_OF_ITEM, of_items)

    def lists(self, user_ids: Collection[str]) -> dict[str, list[Entry]]:
        return {user_id: entries(text) for user_id, text in _rows(self._pool, self._lists, [list(user_ids)])}

    def history(self, user_id: str) -> str | None:
        try:
            return next((text for (text,) in _rows(self._pool, self._history, [user_id])), None)
        except psycopg.errors.UndefinedColumn:  # filled by an earlier version
            return None

    def indices(self, item_ids: Collection[str]) -> dict[str, int]:
        return dict(_rows(self._pool, self._indices, [list(item_ids)]))

    def numbered(self, indices: Collection[int]) -> dict[int, Item]:
        return {index: Item(*row) for index, *row in _rows(self._pool, self._numbered, [list(indices)])}

    def items(self, item_ids: Collection[str]) -> dict[str, Item]:
        return self._cache.items(item_ids)

    def popular(self, n: int) -> list[Item]:
        return self._of("WHERE listed ORDER BY users DESC, item_idx LIMIT %s", [n])

    def search(self, text: str, n: int) -> list[Item]:
        wanted = " & ".join(f"'{word}':*" for word in words(text))
        if not wanted:
            return []
        return self._of("WHERE words @@ %s::tsquery ORDER BY users DESC, item_idx LIMIT %s", [wanted, n])

    def users(self, start: str, n: int) -> list[str]:
        return [user_id for (user_id,) in _rows(self._pool, self._users, [start, start + LAST, n])]

    def sheet(self, name: str) -> str | None:
        if not _there(self._pool, self._schema, "sheets"):  # filled before there were any
            return None
        return next((body for (body,) in _rows(self._pool, self._sheets, [name])), None)

    def _of(self, rest: LiteralString, values: Sequence[Any]) -> list[Item]:
        return [Item(*row) for row in _rows(self._pool, self._items + sql.SQL(rest), values)]


def _there(pool: ConnectionPool[Any], schema: str, table: str) -> bool:
    found = _rows(pool, sql.SQL("SELECT to_regclass(%s)"), [f'"{schema}".{table}'])
    return found[0][0] is not None


def _rows(pool: ConnectionPool[Any], query: sql.Composable, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a query.

    Raises:
        StoreUnavailableError: the server does not answer, or the night was removed meanwhile.
    """
    try:
        with pool.connection(timeout=_WAIT_SECONDS) as connection:
            rows: list[tuple[Any, ...]] = connection.execute(query, values).fetchall()
            return rows
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.UndefinedTable) as error:
        raise StoreUnavailableError(type(error).__name__) from None
