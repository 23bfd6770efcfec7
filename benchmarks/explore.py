"""Time `explore` beside plain aggregations of the same made events, warm: one total, and one by user.

Makes events once per size (kept under --root), then measures in one Spark session, in turns; the median of the repeats counts.
The total aggregates every column that explore reads (count, least and latest time, sum of the values) in one scan without a
group; by user it is the same a user. The aim is explore within four times a plain aggregation. Prints Markdown.

  .venv/bin/python benchmarks/explore.py --events 10000000 100000000
"""

from __future__ import annotations

import contextlib
import io
import statistics
from collections.abc import Callable, Sequence

from bench import header, local_session, seconds_of, spread, thrown_away
from data_stages import config_for, made_root, parser_of
from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.config import load_config
from recsys_spark.runs import Run
from recsys_spark.session import get_session
from recsys_spark.stages import stage_named

SETTINGS = ("run.shuffle_partitions=16",)
KINDS = ("total", "by user", "explore")


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__ or "")
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes to measure")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs a size, after one to warm up")
    parser.add_argument("--driver-memory", default="6g", help="heap of the session, which is local")
    arguments = parser.parse_args(argv)
    all_settings = [*SETTINGS, *arguments.settings]
    print(header(load_config(settings=all_settings).run.seed, *all_settings), flush=True)
    spark = local_session(arguments.driver_memory)
    print(
        "| events | total, s | by user, s | explore, s | of total | of by user |\n| --: | --: | --: | --: | --: | --: |"
    )
    for size in sorted(arguments.events):
        config = config_for(size, all_settings)
        get_session("benchmark", config.run)
        root = str(made_root(spark, arguments.root, config))
        run = Run("explore", spark, config, root, "benchmark")
        measured = [measure(run) for _ in range(arguments.repeats + 1)][1:]  # the first warms the code up
        total, by_user, explore = (statistics.median(row[kind] for row in measured) for kind in KINDS)
        times = " | ".join(spread([row[kind] for row in measured], ".1f") for kind in KINDS)
        print(f"| {size:,} | {times} | {explore / total:.1f} | {explore / by_user:.1f} |", flush=True)
    spark.stop()


def measure(run: Run) -> dict[str, float]:
    """Seconds of each kind, one after the other."""
    events = run.tables.read("events")
    work: dict[str, Callable[[], object]] = {
        "total": lambda: thrown_away(events.agg(F.count(c.USER_ID), F.count(c.ITEM_ID), *aggregates())),
        "by user": lambda: thrown_away(events.groupBy(c.USER_ID).agg(F.count(c.ITEM_ID), *aggregates())),
        "explore": lambda: explored(run),
    }
    return {kind: seconds_of(work[kind]) for kind in KINDS}


def aggregates() -> list[Column]:
    """What a plain aggregation takes of every event."""
    time = F.col(c.EVENT_TIME)
    return [F.count(c.EVENT_TYPE), F.min(time), F.max(time), F.sum(c.EVENT_VALUE)]


def explored(run: Run) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        stage_named("explore")(Run("explore", run.spark, run.config, run.root, "benchmark"))


if __name__ == "__main__":
    main()
