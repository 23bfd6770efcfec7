"""Time `index` (with interactions) and `examples` beside a plain read and rewrite of the same events, warm.

Makes events once per size (kept under --root), then measures in one Spark session: (a) reading `events` and
writing them to a new Delta table, (b) the package's own stages on a root that has the events and nothing
else, with one draw of negatives. The two take turns, and the median of the repeats counts. Prints Markdown.

  .venv/bin/python benchmarks/data_stages.py --events 1000000 10000000
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import header, local_session, timed
from pyspark.sql import SparkSession

from recsys_spark.config import load_config
from recsys_spark.runs import Run
from recsys_spark.session import get_session
from recsys_spark.settings import Config
from recsys_spark.stages import stage_named

STAGES = ("index", "examples")
EVENTS_A_USER, ITEMS, DAYS, EVENTS_A_FILE = 100, 10_000, 365, 1_000_000
# one draw of negatives for one fit; Spark's own 200 partitions would be ten times too many on one machine
SETTINGS = ("examples.draws=1", "examples.fits=[evaluate]", "run.shuffle_partitions=16")


@dataclass(frozen=True)
class Timing:
    """Seconds of one repeat."""

    rewrite: float
    stages: dict[str, float]

    @property
    def all_stages(self) -> float:
        """Seconds of all stages together."""
        return sum(self.stages.values())

    def __str__(self) -> str:
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.stages.items())
        return f"rewrite {self.rewrite:.1f} s, {stages}"


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    all_settings = [*SETTINGS, *arguments.settings]
    print(header(load_config(settings=all_settings).run.seed, *all_settings), flush=True)
    spark = local_session(arguments.driver_memory)
    sizes = sorted(arguments.events)
    configs = {size: config_for(size, all_settings) for size in sizes}
    spark = get_session("benchmark", configs[sizes[0]].run)
    roots = {size: made_root(spark, arguments.root, configs[size]) for size in sizes}
    stages = arguments.stages
    measure(spark, configs[sizes[0]], roots[sizes[0]], stages)  # warms the code up
    timings: dict[int, list[Timing]] = {size: [] for size in sizes}
    for size in sizes:
        for _ in range(arguments.repeats):
            timings[size].append(measure(spark, configs[size], roots[size], stages))
            print(f"- {size:,} events: {timings[size][-1]}", flush=True)
    print(report(timings, stages))
    spark.stop()


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__ or "")
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes to measure")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs a size, after one to warm up")
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=("index", "features", "examples"))
    parser.add_argument("--driver-memory", default="6g", help="heap of the session, which is local")
    return parser.parse_args(argv)


def parser_of(description: str) -> argparse.ArgumentParser:
    """The arguments of all benchmarks on made events."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(".data/benchmark"), help="where made events are kept")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="a setting of the stages"
    )
    return parser


def config_for(events: int, settings: Sequence[str]) -> Config:
    """Users grow with the events, the catalogue does not; files hold a million events each."""
    made = {
        "events": events,
        "users": max(10, events // EVENTS_A_USER),
        "items": ITEMS,
        "days": DAYS,
        "partitions": max(2, -(-events // EVENTS_A_FILE)),
    }
    return load_config(settings=[*(f"generate.{key}={value}" for key, value in made.items()), *settings])


def made_root(spark: SparkSession, folder: Path, config: Config) -> Path:
    """The folder with the made events of that size, made now if they are not there."""
    root = folder.resolve() / f"events-{config.generate.events}-{config.digest('generate')}-{config.run.seed}"
    run = Run("generate", spark, config, str(root), "benchmark")
    if run.tables.exists("events") and run.tables.read("events").count() == config.generate.events:
        return root
    shutil.rmtree(root, ignore_errors=True)
    stage_named("generate")(run)
    print("\n".join(f"- {config.generate.events:,} events made: {note}" for note in run.notes), flush=True)
    return root


def measure(spark: SparkSession, config: Config, made: Path, names: Sequence[str]) -> Timing:
    """One rewrite and one run of the stages, each into a new place."""
    copy = made / "rewritten"
    with emptied(copy), timed() as rewrite:
        spark.read.format("delta").load(str(made / "events")).write.format("delta").save(str(copy))
    fresh, seconds, as_of = made / "staged", {}, None
    with emptied(fresh):
        fresh.mkdir()
        (fresh / "events").symlink_to(made / "events", target_is_directory=True)
        for stage in names:
            run = Run(stage, spark, config, str(fresh), "benchmark", as_of)
            with contextlib.redirect_stdout(io.StringIO()), timed() as taken:
                stage_named(stage)(run)
            as_of, seconds[stage] = run.as_of, taken[0]
    return Timing(rewrite[0], seconds)


@contextlib.contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Nothing at that place, before and after."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(timings: dict[int, list[Timing]], names: Sequence[str]) -> str:
    """The Markdown table, what the stages take of a rewrite, and how time a row grows."""
    lines = [
        "",
        f"| events | read + rewrite, s | {' | '.join(f'{name}, s' for name in names)} | stages / rewrite "
        "| rewrite, µs a row | stages, µs a row |",
        f"|{' --: |' * (5 + len(names))}",
    ]
    stages, ratio = {}, {}
    for size, runs in timings.items():
        rewrite = statistics.median(run.rewrite for run in runs)
        each = " | ".join(f"{statistics.median(run.stages[name] for run in runs):.1f}" for name in names)
        stages[size] = statistics.median(run.all_stages for run in runs)
        ratio[size] = statistics.median(run.all_stages / run.rewrite for run in runs)
        lines.append(
            f"| {size:,} | {rewrite:.1f} | {each} | {ratio[size]:.1f} "
            f"| {1e6 * rewrite / size:.2f} | {1e6 * stages[size] / size:.2f} |"
        )
    small, large = min(timings), max(timings)
    lines += ["", f"At {large:,} events the stages take {ratio[large]:.1f} times the rewrite."]
    if small < large:
        rows = {size: stages[size] / size for size in timings}
        growth = ", ".join(f"{row / rows[small]:.2f} at {size:,}" for size, row in rows.items())
        widest = max(rows.values()) / min(rows.values())
        lines.append(f"Time a row, of that at {small:,}: {growth}; the longest is {widest:.2f} of the shortest.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
