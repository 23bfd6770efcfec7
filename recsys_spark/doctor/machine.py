"""Checks of the machine that the doctor runs on: Python, Java, memory, shared memory, disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from recsys_spark.disks import mib, places
from recsys_spark.doctor.finding import BrokenError, Context

JAVAS: Final = (8, 11, 17)  # what Spark 3.5 runs on
_TESTED_JAVA: Final = 17
_NO_LIMIT: Final = 1 << 60  # a control group without a limit says "max", or a number near 2 ** 63
_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_SHARED: Final = Path("/dev/shm")


def python(context: Context) -> str:
    """The interpreter is of the version that the package is made for."""
    if sys.version_info[:2] != (3, 11):
        raise BrokenError(
            f"this is Python {sys.version.split()[0]}, expected 3.11",
            "make setup PYTHON=/path/to/python3.11, or install recsys-spark with a Python 3.11",
        )
    return f"{sys.version.split()[0]} at {sys.executable}"


def java(context: Context) -> str:
    """The Java that `spark-submit` finds is one that Spark 3.5 runs on."""
    said = _what_spark_submit_says()
    found = re.search(r"VM, (?:1\.)?(\d+)([\w.+-]*)", said)
    mend = "make setup (it brings Java 17), or install Java 17 and set JAVA_HOME to it"
    if found is None:
        raise BrokenError(f"spark-submit finds no Java: {said.strip() or 'it says nothing'}", mend)
    major = int(found[1])
    if major not in JAVAS:
        raise BrokenError(f"Spark runs on Java {major}, expected one of {', '.join(map(str, JAVAS))}", mend)
    return f"{found[1]}{found[2]}" + ("" if major == _TESTED_JAVA else f" (tested on {_TESTED_JAVA})")


def _what_spark_submit_says() -> str:
    """What it prints of its version: the Java it names is the one it takes, whatever the shell would."""
    import pyspark

    home = Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent)
    command = [str(home / "bin" / "spark-submit"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def memory(context: Context) -> str:
    """Enough memory is free, by the machine and by the limit of the container."""
    import psutil

    free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    limit = min([total, *_container_limits()])
    free = min(free, limit)
    least = context.config.doctor.least_memory_mib << 20
    if free < least:
        raise BrokenError(
            f"{mib(free)} MiB free, expected {mib(least)} (doctor.least_memory_mib)",
            "end other work, or give the container more (docker run --memory=8g); docs/capacity.md says what is needed",
        )
    return f"{mib(free)} of {mib(limit)} MiB free"


def _container_limits() -> list[int]:
    written = [file.read_text(encoding="ascii").strip() for file in _LIMITS if file.is_file()]
    return [int(limit) for limit in written if limit.isdigit() and int(limit) < _NO_LIMIT]


def shared_memory(context: Context) -> str:
    """`/dev/shm` is there and has room: NCCL, and ranks that share a machine, exchange through it."""
    mend = "mount -t tmpfs -o size=1g tmpfs /dev/shm, or docker run --shm-size=1g"
    if not _SHARED.is_dir():
        raise BrokenError(f"{_SHARED} does not exist", mend)
    free, least = shutil.disk_usage(_SHARED).free, context.config.doctor.least_shared_mib << 20
    if free < least:
        raise BrokenError(f"{mib(free)} MiB free, expected {mib(least)} (doctor.least_shared_mib)", mend)
    return f"{mib(free)} MiB free"


def disk(context: Context) -> str:
    """Room is left where tables lie, where Python's temporary files go, and where Spark spills to."""
    least = context.config.doctor.least_disk_mib << 20
    free = {place: shutil.disk_usage(place).free for place in places(context.root)}
    short = [f"{place} has {mib(room)} MiB free" for place, room in free.items() if room < least]
    if short:
        raise BrokenError(
            f"{', '.join(short)}, expected {mib(least)} (doctor.least_disk_mib)",
            f"du -xh --max-depth=2 {next(place for place in free if free[place] < least)} | sort -h | tail, "
            "and delete what nobody reads, or point TMPDIR and SPARK_LOCAL_DIRS elsewhere",
        )
    return ", ".join(f"{mib(room)} MiB free in {place}" for place, room in free.items())
