"""A service in this process, on a store that was loaded by hand."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from recsys_spark.config import load_config
from recsys_spark.serving.app import create_app
from recsys_spark.serving.server import Server
from recsys_spark.serving.store import Store


def app_over(store: Store, *settings: str):
    return create_app(store, load_config(settings=settings).serve, "default")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def listening(store: Store, *settings: str, change: Callable[[FastAPI], None] = lambda app: None) -> Iterator[str]:
    """A real server on loopback; its URL. `change` may add to the application first."""
    app = app_over(store, *settings)
    change(app)
    server = Server(app, "127.0.0.1", port := free_port())
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20.0
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    assert server.started
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20.0)
        assert not thread.is_alive()
