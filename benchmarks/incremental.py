"""What a night costs in which few users act, beside a full run: jobs/pipeline.py on made events.

    .venv/bin/python benchmarks/incremental.py [--events 10000000] [--share 0.01] [--set KEY=VALUE]

Events of a year and a day are made, a hundred a user. The first night is given the year and trains; the second is given the
events of the last day, of so many of the users alone, keeps the model, and makes new lists for those who acted. The full run is
a first night over both, below a root of its own. Prints Markdown: seconds of each stage, as table `runs` has them, and the share
of the night, with and without what a kept model spares. That the tables are the same is for tests/interactions/test_carry.py.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from bench import header, local_session, submitted
from data_stages import config_for, made_root
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.config import load_config
from recsys_spark.session import get_session
from recsys_spark.stages import PIPELINE

OF_MODEL = ("examples", "train", "evaluate")
COLUMNS = (c.USER_ID, c.ITEM_ID, c.EVENT_TIME, c.EVENT_TYPE, c.EVENT_ID)
SETTINGS = (
    *(
        "ingest.format=mapping",
        "ingest.mapping.file_format=parquet",
        "ingest.event_type=event",
        "ingest.max_rejected_share=0.0",
    ),
    f"ingest.mapping.columns={{{', '.join(f'{name}: {name}' for name in COLUMNS)}}}",
    *("night.retrain_days=30", "night.between=keep", "night.refresh=changed"),
    *("training.epochs=1", "examples.draws=1", "run.shuffle_partitions=16"),
    "publish.gates={event_age_days: {low: null, high: 3.0}, over_popularity: {low: null, high: null}}",
)


def main() -> None:
    """Make the events, play the nights, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(".data/incremental"))
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--share", type=float, default=0.01, help="of the users act on the last day")
    parser.add_argument("--driver-memory", default="6g", help="of every session, which is local")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    options = parser.parse_args()
    print(header(load_config().run.seed, f"{options.events:,} events", *options.settings), flush=True)
    source, last = delivered(options)
    nights, full = options.root / "nights", options.root / "full"
    for root in (nights, full):
        shutil.rmtree(root, ignore_errors=True)
    night(options, nights, source / "year", last - timedelta(days=1))
    night(options, nights, source / "day", last)
    night(options, full, source / "*", last)
    before, after = (seconds_by_stage(nights, day) for day in (last - timedelta(days=1), last))
    print(table(after, seconds_by_stage(full, last), before))
    print("\n" + agreement(options, nights, full, last))


def delivered(options: argparse.Namespace) -> tuple[Path, date]:
    """Write the year and the day as files of a shop, if they are not there; where, and the last day."""
    spark = local_session(options.driver_memory)
    config = config_for(options.events, ["generate.days=366"])
    last = config.generate.end
    source = options.root / "source" / config.digest("generate")
    if not (source / "day" / "_SUCCESS").exists():
        spark = get_session("benchmark", config.run)
        events = (
            spark.read.format("delta").load(str(made_root(spark, options.root, config) / "events")).select(*COLUMNS)
        )
        of_day = F.to_date(c.EVENT_TIME) == F.lit(last)
        events.where(~of_day).coalesce(8).write.mode("overwrite").parquet(str(source / "year"))
        acting(events.where(of_day), events, options.share).coalesce(1).write.mode("overwrite").parquet(
            str(source / "day")
        )
    day = spark.read.parquet(str(source / "day"))
    print(f"- the last day: {day.count():,} events of {day.select(c.USER_ID).distinct().count():,} users", flush=True)
    spark.stop()
    return source.resolve(), last


def acting(of_day: DataFrame, events: DataFrame, share: float) -> DataFrame:
    """The day's events of so many of its users that they are the share of all."""
    users = of_day.select(c.USER_ID).distinct().orderBy(F.xxhash64(c.USER_ID))
    most = round(share * events.select(c.USER_ID).distinct().count())
    return of_day.join(users.limit(most), on=c.USER_ID, how="left_semi")


def night(options: argparse.Namespace, root: Path, files: Path, as_of: date) -> None:
    """One pipeline over what the shop delivered."""
    submitted(
        "pipeline",
        *("--root", str(root.resolve()), "--as-of", as_of.isoformat()),
        files=["conf/generated.yaml"],
        settings=[*SETTINGS, f"ingest.path={files}", *options.settings],
        spark=["--driver-memory", options.driver_memory],
    )


def seconds_by_stage(root: Path, as_of: date) -> dict[str, float]:
    from deltalake import DeltaTable

    rows: Sequence[Mapping[str, Any]] = DeltaTable(str(root / "runs")).to_pyarrow_table().to_pylist()
    return {row["stage"]: row["seconds"] for row in rows if row[c.AS_OF_DATE] == as_of}


def table(night: Mapping[str, float], full: Mapping[str, float], first: Mapping[str, float]) -> str:
    """Stage by stage, and what is left of a full run."""
    lines = ["", "| stage | the night, s | full run, s | share | first night, s |", "| --- | --: | --: | --: | --: |"]
    for stage in PIPELINE:
        lines.append(line(stage, night.get(stage, 0.0), full[stage], first[stage]))
    lines.append(line("all", *(sum(each.values()) for each in (night, full, first))))
    kept = [sum(seconds for stage, seconds in each.items() if stage not in OF_MODEL) for each in (night, full, first)]
    return "\n".join([*lines, line(f"all but {', '.join(OF_MODEL)}", *kept)])


def line(name: str, night: float, full: float, first: float) -> str:
    return f"| {name} | {night:.1f} | {full:.1f} | {night / full:.1%} | {first:.1f} |"


def agreement(options: argparse.Namespace, nights: Path, full: Path, as_of: date) -> str:
    """How many rows the night's tables and those of the full run have."""
    spark: SparkSession = local_session(options.driver_memory)
    said = []
    for name in ("users", "items", "interactions", "user_features", "sequences"):
        tables = []
        for root in (nights, full):
            rows = spark.read.format("delta").load(str(root / name))
            tables.append(rows.where(F.col(c.AS_OF_DATE) == F.lit(as_of)) if c.AS_OF_DATE in rows.columns else rows)
        said.append(f"{name} {tables[0].count():,} and {tables[1].count():,}")
    spark.stop()
    return "Rows of the night and of the full run: " + "; ".join(said) + "."


if __name__ == "__main__":
    main()
