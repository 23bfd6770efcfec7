"""One run at a time for a root: a lease in a Delta table, and a fence that stops whoever lost it.

A lease has a generation, one more than the one before. Two rules make it safe on any storage that Delta is safe on:

- It is taken by a commit that carries its generation as Delta's transaction version (`txnAppId`, `txnVersion` of Delta's
  protocol, "Transaction Identifiers"). Delta refuses the second commit of a version, so that one of two takers wins.
- Every commit to a table that people read (`Table.fenced`) carries the generation likewise, and whoever takes a lease that
  was not given back first leaves an empty commit of the new generation there. A holder that was thought dead and wakes up
  has a lower one: its commits are refused.

Clocks only decide when a lease may be taken; that no mix is published hangs on the generations alone.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark import columns as c
from recsys_spark import log
from recsys_spark.errors import LeaseHeldError, LeaseLostError
from recsys_spark.schemas import LEASES, TABLES
from recsys_spark.tables import Tables

_TURNS: Final = 1_000_000  # commits of one generation to one table, at most
_SIGNS: Final = 4  # of life within the time after which a holder is thought dead


class Lease:
    """The right to write below a root, within a `with` block; `seconds` without a sign of life, and another may take it.

    Raises:
        LeaseHeldError: on entering: someone else has it; the message says who.
    """

    def __init__(self, spark: SparkSession, root: str, pipeline_id: str, seconds: int) -> None:
        # not the pipeline's id: two that go on with one killed night have that in common
        self._tables = Tables(spark, root, uuid.uuid4().hex)
        self._pipeline_id, self._seconds = pipeline_id, seconds
        self._holder = holder()
        self._generation = self._turns = 0
        self._path = ""
        self._lost, self._done = "", threading.Event()
        self._thread = threading.Thread(target=self._stay_alive, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        last = self._newest()
        if last is not None and is_held(last, datetime.now(UTC), self._seconds):
            raise LeaseHeldError(
                f"{self._tables.root} is in use: {last[c.HOLDER]} (host/process/start) has its lease, last seen "
                f"{_age(last):.0f} s ago. Wait for it, or stop it; if it is dead, its lease is free after {self._seconds} s"
            )
        self._generation = 1 + (last[c.GENERATION] if last is not None else 0)
        if not self._tables.claim(LEASES, self._sign(released=False), self._generation):
            raise LeaseHeldError(f"{self._tables.root} is in use: another run took its lease this moment. Wait for it")
        if last is not None and not last[c.RELEASED]:
            for table in TABLES.values():
                if table.fenced and self._tables.exists(table.name):
                    self._tables.fence(table, self.turn())
        self._path = self._tables.path(LEASES.name)
        self._thread.start()
        return self

    def __exit__(self, *of_error: object) -> None:
        self._done.set()
        self._thread.join()
        if self._lost:
            return
        try:
            self._tables.append(LEASES, self._sign(released=True))
        except Exception as error:  # what was done is done, and why it failed is not to be hidden by this
            log.say("lease", f"it could not be given back: {type(error).__name__}: {error}", "warning")

    def turn(self) -> int:
        """The transaction version of the next fenced commit: higher than all before it, whoever made them."""
        self._turns += 1
        return self._generation * _TURNS + self._turns

    def check(self) -> None:
        """Go on, if the lease is still held.

        Raises:
            LeaseLostError: another run has taken it.
        """
        if self._lost:
            raise LeaseLostError(self._lost)

    def _stay_alive(self) -> None:
        while not self._done.wait(self._seconds / _SIGNS):
            try:
                newest = self._newest_generation()
                if newest != self._generation:
                    self._lost = f"another run took the lease of {self._tables.root}: it is of generation {newest} now"
                    return
                self._renew()
            except Exception as error:  # the next sign may get through; if none does, the fence holds
                log.say("lease", f"no sign of life could be left: {type(error).__name__}: {error}", "warning")

    def _renew(self) -> None:
        """Leave a sign of life without a task of Spark, which would wait behind those of a long stage.

        Where delta-rs cannot write (a catalogue's own storage, S3 without a lock) it is left by Spark after all.
        """
        from deltalake import write_deltalake

        schema = to_arrow_schema(LEASES.schema)
        row = dict(zip(schema.names, self._words(released=False), strict=True))
        try:
            write_deltalake(self._path, pa.Table.from_pylist([row], schema=schema), mode="append")
        except Exception:  # of many kinds, one a storage
            self._tables.append(LEASES, self._sign(released=False))

    def _newest_generation(self) -> int:
        """The greatest generation of all signs, read without a task of Spark. O(signs)."""
        from deltalake import DeltaTable

        files = DeltaTable(self._path).to_pyarrow_table(columns=[c.GENERATION])
        return int(pc.max(files.column(c.GENERATION)).as_py())

    def _newest(self) -> Row | None:
        if not self._tables.exists(LEASES.name):
            return None
        # given back is given back, also where the clock was set back before that
        rows = self._tables.read_version(LEASES.name, self._tables.version(LEASES.name))
        return rows.orderBy(F.desc(c.GENERATION), F.desc(c.RELEASED), F.desc(c.RENEWED_AT)).head()

    def _sign(self, released: bool) -> Any:
        return self._tables.spark.createDataFrame([self._words(released)], LEASES.schema)

    def _words(self, released: bool) -> tuple[Any, ...]:
        return self._generation, self._holder, self._pipeline_id, datetime.now(UTC), released


def is_held(last: Row, now: datetime, seconds: int, alive: Callable[[str], bool | None] | None = None) -> bool:
    """Whether a lease is still someone's: not given back, and its holder not known or thought to be dead.

    Args:
        alive: whether a holder lives, None where that cannot be seen from here.
    """
    if last[c.RELEASED]:
        return False
    lives = (alive or _lives)(last[c.HOLDER])
    if lives is not None:
        return lives
    # a sign of life from the far future is from a clock that was set back since, and says nothing
    return abs((now - _utc(last[c.RENEWED_AT])).total_seconds()) <= seconds


def holder() -> str:
    """This process, told apart from an earlier one with its number."""
    return f"{_place()}/{os.getpid()}/{_started(os.getpid())}"


def _lives(who: str) -> bool | None:
    place, pid, started = who.rsplit("/", 2)
    if place != _place() or not Path("/proc").is_dir():
        return None
    return _started(int(pid)) == started


def _place() -> str:
    """Where process numbers mean the same: the host, its boot, and the namespace of its processes, as containers may share a
    host's name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().split("-")[0]
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}-{boot}-{space}"


def _started(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty where there is none or that cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _age(last: Row) -> float:
    return (datetime.now(UTC) - _utc(last[c.RENEWED_AT])).total_seconds()


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)  # Spark hands times over in the machine's own zone, without saying so
