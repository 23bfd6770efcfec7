"""Which store a configuration speaks of, for those who fill it and for those who read it."""

from __future__ import annotations

from typing import Final

from recsys_spark import storage
from recsys_spark.serving.embedded import EmbeddedStore
from recsys_spark.serving.embedded_files import EmbeddedKeeper
from recsys_spark.serving.loading import Keeper
from recsys_spark.serving.store import Store
from recsys_spark.settings import Config

_FOLDER: Final = "store"


def folder_of(artifacts: str) -> str:
    """Where the embedded store lies."""
    return storage.join(artifacts, _FOLDER)


def keeper_of(config: Config, artifacts: str) -> Keeper | None:
    """The store that jobs fill, None where there is none; `artifacts` is where a run's artifacts lie."""
    return EmbeddedKeeper(folder_of(artifacts)) if config.store.kind == "embedded" else None


def store_of(config: Config, artifacts: str) -> Store:
    """The store that the service reads."""
    return EmbeddedStore(folder_of(artifacts))
