"""What the benchmarks share: the machine's description, a clock, a median with its spread."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHECKOUT = Path(__file__).resolve().parent.parent


def header(seed: int, *remarks: str) -> str:
    """Date, command, seed and machine, so that the figures can be had again."""
    lines = [
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {seed}{''.join(f', {remark}' for remark in remarks)}",
        f"- `{' '.join(['python', *sys.argv])}`",
        f"- {machine()}",
    ]
    return "\n".join(lines)


def machine() -> str:
    """The processor, its cores and memory, how busy it is, and the versions that matter."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    import pyspark

    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, load {load:.1f} at the start; "
        f"Python {platform.python_version()}, Spark {pyspark.__version__}"
    )


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """A list that holds the seconds taken once the block is done."""
    seconds: list[float] = []
    clock = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - clock)


def seconds_of(work: Callable[[], Any]) -> float:
    """How long a call takes."""
    with timed() as seconds:
        work()
    return seconds[0]


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Median, and in brackets the least and the greatest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def submitted(
    job: str, *arguments: str, files: Sequence[str], settings: Sequence[str], spark: Sequence[str] = ()
) -> None:
    """One job as a person would run it; what it prints goes to stderr.

    Args:
        files: of configuration.
        spark: arguments of spark-submit's own.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [str(Path(sys.executable).with_name("spark-submit")), *spark, f"jobs/{job}.py", *arguments]
    command += configured(files, settings)
    subprocess.run(command, cwd=CHECKOUT, check=True, stdout=sys.stderr)


def configured(files: Sequence[str], settings: Sequence[str]) -> list[str]:
    """Files of configuration and settings as the arguments of a job."""
    parts = [("--config", file) for file in files] + [("--set", setting) for setting in settings]
    return [part for pair in parts for part in pair]


def thrown_away(frame: DataFrame) -> None:
    """Compute every row of a frame, and keep none."""
    frame.write.format("noop").mode("overwrite").save()


def local_session(driver_memory: str) -> Any:
    """A quiet session on all cores of this machine."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.memory", driver_memory).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark
