"""Events of many requests at once go to disk together: one thread writes what waits, and one fsync answers for all of it.

While a write is on its way the next requests gather, so that the slower the disk is, the more of them share a write
("group commit": DeWitt et al. 1984, "Implementation techniques for main memory database systems").
"""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from concurrent.futures import Future
from typing import Final, NamedTuple

from recsys_spark import log
from recsys_spark.serving.event_files import EventFiles
from recsys_spark.serving.metrics import Metrics

_LOOK_SECONDS: Final = 0.5  # how often the age of the open file is looked at
_ADOPT_SECONDS: Final = 30.0  # and files of processes that are no more
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class NotKeptError(Exception):
    """The events are not on disk; `full`: because it has no room."""

    def __init__(self, full: bool) -> None:
        super().__init__("the disk is full" if full else "the disk cannot be written to")
        self.full = full


class _Waiting(NamedTuple):
    lines: bytes
    done: Future[None]


class Journal:
    """Keeps lines, from the event loop; its thread begins with `start` or the first lines, and ends with `close`."""

    def __init__(self, files: EventFiles, metrics: Metrics) -> None:
        self._files, self._metrics = files, metrics
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._closing = False
        self._thread: threading.Thread | None = None
        self._adopted_at: float | None = None

    def start(self) -> None:
        """Begin; what an earlier process left open is closed."""
        with self._changed:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
                self._thread.start()

    async def keep(self, lines: bytes) -> None:
        """Whole lines; on disk when it returns. Given up while they wait, they are not written.

        Raises:
            NotKeptError: they are not kept.
        """
        self.start()
        waiting = _Waiting(lines, Future())
        with self._changed:
            if self._closing:
                raise NotKeptError(full=False)
            self._waiting.append(waiting)
            self._changed.notify()
        await asyncio.wrap_future(waiting.done)

    def close(self) -> None:
        """Write what waits, hand the open file over, and take no more."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing, timeout=_LOOK_SECONDS)
                taken, self._waiting, closing = self._waiting, [], self._closing
            self._write([one for one in taken if one.done.set_running_or_notify_cancel()])
            self._upkeep(closing)

    def _write(self, taken: list[_Waiting]) -> None:
        if not taken:
            return
        started = time.perf_counter()
        try:
            self._files.append(b"".join(one.lines for one in taken))
        except Exception as error:  # whatever a disk raises: who waits must hear of it
            self._metrics.event_failures.inc()
            log.say("serve", f"events are not kept: {type(error).__name__}: {error}", "error")
            full = isinstance(error, OSError) and error.errno in _FULL
            for one in taken:
                one.done.set_exception(NotKeptError(full))
            return
        self._metrics.event_writes.observe(time.perf_counter() - started)
        for one in taken:
            one.done.set_result(None)

    def _upkeep(self, closing: bool) -> None:
        now = time.monotonic()
        try:
            if self._adopted_at is None or now - self._adopted_at >= _ADOPT_SECONDS:
                self._adopted_at = now
                self._adopt()
            if closing:
                self._files.close()
            else:
                self._files.close_if_due()
        except Exception as error:  # likewise; the thread is to go on
            self._metrics.event_failures.inc()
            log.say("serve", f"a file of events is not closed: {type(error).__name__}: {error}", "warning")

    def _adopt(self) -> None:
        if torn := self._files.adopt():
            self._metrics.event_torn.inc(torn)
            log.say("serve", f"cut off: {torn} last lines of events that a killed process had not ended", "warning")
