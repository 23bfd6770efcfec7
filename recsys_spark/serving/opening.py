"""Which store a configuration speaks of, for those who fill it and for those who read it."""

from __future__ import annotations

import os
from typing import Final

from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.serve_settings import Store as StoreSettings
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from recsys_spark.serving.loading import Keeper
from recsys_spark.serving.store import Store
from recsys_spark.settings import Config

_FOLDER: Final = "store"
_MODELS: Final = "live"  # of the store in PostgreSQL: arrays are no rows


def folder_of(artifacts: str) -> str:
    """Where the embedded store lies."""
    return storage.join(artifacts, _FOLDER)


def keeper_of(config: Config, artifacts: str) -> Keeper | None:
    """The store that jobs fill, None where there is none; `artifacts` is where a run's artifacts lie.

    Raises:
        UserError: the store is PostgreSQL, and nothing says how to connect, or psycopg is not installed.
    """
    if config.store.kind == "none":
        return None
    if config.store.kind == "embedded":
        return EmbeddedKeeper(folder_of(artifacts))
    dsn = _dsn(config.store)
    from recsys_spark.serving.postgres_tables import PostgresKeeper

    return PostgresKeeper(dsn, config.store.database_schema, storage.join(artifacts, _MODELS))


def store_of(config: Config, artifacts: str) -> Store:
    """The store that the service reads.

    Raises:
        UserError: none is filled; or as `keeper_of`.
    """
    if config.store.kind == "none":
        raise UserError(
            "store.kind is none, so that no lists are kept for the service: publish with embedded or postgres"
        )
    if config.store.kind == "embedded":
        return EmbeddedStore(folder_of(artifacts))
    dsn = _dsn(config.store)
    from recsys_spark.serving.postgres import PostgresStore

    store, models = config.store, storage.join(artifacts, _MODELS)
    return PostgresStore(dsn, store.database_schema, store.connections, config.serve.seconds, models)


def _dsn(settings: StoreSettings) -> str:
    """How to connect; out of the environment, as the configuration is kept in `runs` and a password is not to be."""
    try:
        import psycopg  # noqa: F401
        import psycopg_pool  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'recsys-spark[postgres]'") from None
    dsn = os.environ.get(settings.dsn_env, "")
    if not dsn:
        raise UserError(
            f"store.kind is postgres and the environment has no {settings.dsn_env}: set it to how libpq connects, for example "
            "postgresql://recsys@db.example/shop"
        )
    return dsn
