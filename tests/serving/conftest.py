"""Stores to test: the embedded one, and PostgreSQL where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from recsys_spark.serving.loading import Keeper
from recsys_spark.serving.store import Store
from tests.serving import postgres

_SCHEMAS = count()


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """A PostgreSQL server on loopback."""
    if why := postgres.why_not():
        pytest.skip(why)
    with postgres.running() as server:
        yield server


@pytest.fixture(params=["embedded", "postgres"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Keeper:
    """Each kind of store, empty."""
    if request.param == "embedded":
        return EmbeddedKeeper(str(tmp_path / "store"))
    return keeper_in(request.getfixturevalue("server"), str(tmp_path / "live"))


def keeper_in(server: postgres.Server, models: str = "") -> Keeper:
    """An empty store in PostgreSQL."""
    from recsys_spark.serving.postgres_tables import PostgresKeeper

    return PostgresKeeper(server.dsn, f"recsys_{next(_SCHEMAS)}", models)


@pytest.fixture
def open_store() -> Iterator[object]:
    """`open_store(keeper)`: what reads the store that a keeper fills, refreshed."""
    opened: list[Store] = []

    def open_one(keeper: Keeper) -> Store:
        opened.append(reader_of(keeper))
        opened[-1].refresh()
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def reader_of(keeper: Keeper) -> Store:
    if isinstance(keeper, EmbeddedKeeper):
        return EmbeddedStore(keeper.location)
    from recsys_spark.serving.postgres import PostgresStore

    return PostgresStore(keeper.dsn, keeper.schema, 8, 5.0, keeper.models)
