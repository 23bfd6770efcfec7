"""A PostgreSQL server of the tests' own, from whatever the machine has installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving.service import free_port

_ARGUMENTS = "-c fsync=off -c full_page_writes=off -c max_connections=60 -c shared_buffers=32MB"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl: Debian keeps them out of PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    found = [path for path in (shutil.which("initdb"), *map(str, debian)) if path]
    return Path(found[0]).resolve().parent if found else None


class Server:
    """Listens on loopback; trusts whoever asks, and is gone with the tests."""

    def __init__(self, folder: Path, owner: str | None) -> None:
        self._folder, self._owner, self._port = folder, owner, free_port()
        self.dsn = f"postgresql://tests@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "--username=tests", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")

    def start(self) -> None:
        options = f"{_ARGUMENTS} -p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        self._run("pg_ctl", "start", "--wait", f"--log={self._folder}/log", f"--options={options}")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(programs() / program), f"--pgdata={self._folder}/data", *arguments]
        done = subprocess.run(
            command, user=self._owner, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@contextmanager
def running() -> Iterator[Server]:
    """It refuses to be run by root, who therefore needs the package's own user."""
    folder, owner = Path(tempfile.mkdtemp(prefix="recsys-pg-", dir="/tmp")), None
    try:
        if os.geteuid() == 0:
            owner = "postgres"
            shutil.chown(folder, owner)
        server = Server(folder, owner)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def why_not() -> str | None:
    """Why there can be no server here; None where there can."""
    if programs() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        return "PostgreSQL is not run by root, and there is no user `postgres`"
    return None
