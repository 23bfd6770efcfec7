"""uvicorn around the service: told to stop, it ends what it has begun, and leaves with its caller's exit code."""

from __future__ import annotations

import gc
import signal
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from recsys_spark import log
from recsys_spark.serving.service import Service

_STOPS = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """Told to stop, it first says so at /readyz for `serve.drain_seconds`; told again, it stops at once."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._service: Service = app.state.service
        seconds = self._service.settings.seconds
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_level="warning",
                access_log=False,  # the application has its own, without ids of users
                server_header=False,
                timeout_graceful_shutdown=int(seconds) + 1,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        again, self._service.leaving = self._service.leaving, True
        stop = super().handle_exit
        if again or not self._service.settings.drain_seconds:
            stop(sig, frame)
            return
        log.say("serve", f"told to stop: so in {self._service.settings.drain_seconds:g} s")
        timer = threading.Timer(self._service.settings.drain_seconds, stop, (sig, frame))
        timer.daemon = True
        timer.start()


def run(app: FastAPI, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    for one in _STOPS:
        signal.signal(one, lambda *_: None)  # uvicorn raises them again when it has stopped
    threadpool_limits(1, user_api="blas")  # a request's products are small, and requests come side by side
    gc.collect()
    gc.freeze()  # what is loaded stays: the collector need not look through it again and again
    Server(app, host, port).run()
    log.say("serve", "stopped")
