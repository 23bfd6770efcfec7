"""Show that the driver's memory does not grow with the events: index, features and examples at 1x and at 10x.

Each size runs in a process of its own with a small driver heap. The executor is a separate process
(`local-cluster`), so that the driver's JVM holds what a driver holds and no more: plans, Delta's log,
broadcasts and whatever the stages collect. Measured are the most heap that was live (sampled after a forced
collection) and the peak resident memory of the driver's Python; the heap's limit is the same at both sizes.
Prints Markdown.

  .venv/bin/python benchmarks/driver_memory.py --events 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import header
from data_stages import SETTINGS, config_for, made_root, parser_of
from pyspark.sql import SparkSession

from recsys_spark.config import load_config
from recsys_spark.runs import Run
from recsys_spark.session import get_session
from recsys_spark.settings import Config
from recsys_spark.stages import stage_named

STAGES = ("index", "features", "examples")
MIB = 2**20


class LiveHeap(threading.Thread):
    """Samples the heap that is live in the driver's JVM: what is in use right after a forced collection."""

    def __init__(self, spark: SparkSession, seconds: float) -> None:
        super().__init__(daemon=True)
        self._jvm, self._seconds, self._done = spark._jvm, seconds, threading.Event()
        self.peak, self.samples = 0, 0

    def run(self) -> None:
        """Sample until stopped."""
        while not self._done.wait(self._seconds):
            self.sample()

    def sample(self) -> None:
        """Collect garbage, then note what is left."""
        runtime = self._jvm.java.lang.Runtime.getRuntime()
        runtime.gc()
        self.peak = max(self.peak, runtime.totalMemory() - runtime.freeMemory())
        self.samples += 1

    def stop(self) -> None:
        """Take a last sample and end."""
        self._done.set()
        self.join()
        self.sample()


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    if arguments.only:
        print(json.dumps(one_size(arguments)))
        return
    all_settings = [*SETTINGS, *arguments.settings]
    print(header(load_config(settings=all_settings).run.seed, *all_settings), flush=True)
    print(
        f"- driver heap {arguments.driver_memory}; one executor of {arguments.cores} cores and "
        f"{arguments.executor_mib} MiB in a process of its own; stages {', '.join(STAGES)}",
        flush=True,
    )
    print(
        "\n| events | users | driver's live heap, peak MiB | samples | driver's Python, peak MiB |\n"
        "| --: | --: | --: | --: | --: |",
        flush=True,
    )
    rows = [in_own_process(arguments, size) for size in (arguments.events, 10 * arguments.events)]
    growth = rows[1]["heap"] / rows[0]["heap"]
    python = rows[1]["python"] / rows[0]["python"]
    print(f"\nTen times the events take {growth:.2f} times the live heap, {python:.2f} times the Python memory.")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__ or "")
    parser.add_argument("--events", type=int, default=1_000_000, help="the smaller size, a tenth of the larger")
    parser.add_argument("--driver-memory", default="512m", help="the driver's heap, the same at both sizes")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="of the executor")
    parser.add_argument("--executor-mib", type=int, default=2048, help="heap of the executor")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two samples of the heap")
    parser.add_argument("--only", choices=["make", "measure"], help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def in_own_process(arguments: argparse.Namespace, size: int) -> dict[str, Any]:
    """Make the events of one size, then measure the stages on them, each in its own process; prints a row."""
    command = [sys.executable, __file__, "--events", str(size), "--root", str(arguments.root)]
    command += ["--driver-memory", arguments.driver_memory, "--cores", str(arguments.cores)]
    command += ["--executor-mib", str(arguments.executor_mib), "--every", str(arguments.every)]
    command += [part for setting in arguments.settings for part in ("--set", setting)]
    for step in ("make", "measure"):
        done = subprocess.run([*command, "--only", step], stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"| {size:,} | {row['users']:,} | {row['heap'] / MIB:.0f} | {row['samples']} | {row['python'] / MIB:.0f} |",
        flush=True,
    )
    return row


def one_size(arguments: argparse.Namespace) -> dict[str, Any]:
    """The child's work: make the events, or run the stages while the heap is sampled."""
    config = config_for(arguments.events, [*SETTINGS, *arguments.settings])
    spark = session(arguments, config)
    made, row = made_root(spark, arguments.root, config), {}
    if arguments.only == "measure":
        heap = LiveHeap(spark, arguments.every)
        heap.start()
        run_stages(spark, config, made)
        heap.stop()
        # ru_maxrss is in KiB on Linux
        python = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        row = {"users": config.generate.users, "heap": heap.peak, "samples": heap.samples, "python": python}
    spark.sparkContext.setLogLevel("OFF")  # a local cluster ends with complaints that mean nothing
    spark.stop()
    return row


def session(arguments: argparse.Namespace, config: Config) -> SparkSession:
    """A driver with a small heap, and one executor beside it."""
    checkout = str(Path(__file__).resolve().parent.parent)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": arguments.driver_memory,
        "spark.executor.memory": f"{arguments.executor_mib}m",
        "spark.executorEnv.PYTHONPATH": checkout,
    }
    builder = SparkSession.builder.master(f"local-cluster[1,{arguments.cores},{arguments.executor_mib}]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    builder.getOrCreate().sparkContext.setLogLevel("ERROR")
    return get_session("driver memory", config.run)


def run_stages(spark: SparkSession, config: Config, made: Path) -> None:
    """The stages on a root that has the made events and attributes and nothing else."""
    fresh = made / "driver"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for table in ("events", "user_attributes", "item_attributes"):
        (fresh / table).symlink_to(made / table, target_is_directory=True)
    as_of = None
    for stage in STAGES:
        run = Run(stage, spark, config, str(fresh), "benchmark", as_of)
        stage_named(stage)(run)
        as_of = run.as_of
    shutil.rmtree(fresh)


if __name__ == "__main__":
    main()
