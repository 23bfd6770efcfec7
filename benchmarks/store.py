"""How long a night's lists take into the store: made rows of the published table, by Spark on this machine.

    .venv/bin/python benchmarks/store.py [--users 1000000] [--store embedded]

Ten rows a user, written to Parquet first, so that what is measured is reading, shuffling, making lists and loading them, and
not the making of rows. Beside it stands a plain rewrite of the same rows, sorted by user: the least that such a load can take.
With `--store postgres` the store is in the server that RECSYS_STORE_DSN names. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date
from pathlib import Path

from bench import header, seconds_of
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.config import load_config
from recsys_spark.serving.fill import load_lists
from recsys_spark.serving.loading import ItemRow
from recsys_spark.serving.opening import keeper_of
from recsys_spark.serving.store import About

LENGTH, ITEMS, SEED = 10, 60_000, 42


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--store", choices=("embedded", "postgres"), default="embedded")
    options = parser.parse_args()
    print(header(SEED))
    with tempfile.TemporaryDirectory() as folder:
        spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        made(spark, options.users).write.parquet(f"{folder}/rows")
        rows = spark.read.parquet(f"{folder}/rows")
        config = load_config(settings=[f"store.kind={options.store}", "store.database_schema=recsys_benchmark"])
        keeper, shards = keeper_of(config, folder), -(-options.users // config.store.lists_per_file)
        assert keeper is not None
        about = About("benchmark", "default", date(2026, 1, 1), "made", 0, options.users)

        def load() -> None:
            loader = keeper.loader(about.name)
            items = loader.add_items(ItemRow(0, "i0", None, None, None, None, None, 1, True) for _ in range(1))
            keeper.finish(about, shards, [*load_lists(rows, shards, loader), items])
            keeper.go_live(about, 1)

        by_user = rows.repartition(shards, "user_id").sortWithinPartitions("user_id", "rank")
        plain = seconds_of(lambda: by_user.write.parquet(f"{folder}/sorted"))
        loaded = seconds_of(load)
        size = sum(file.stat().st_size for file in Path(folder, "store").rglob("*.sqlite"))
        keeper.remove()
        spark.stop()
    print("\n| what | seconds | lists a second |\n| --- | --: | --: |")
    for name, seconds in (("rewritten as Parquet, sorted by user", plain), (f"loaded, {options.store}", loaded)):
        print(f"| {name} | {seconds:.0f} | {options.users / seconds:,.0f} |")
    print(f"\n{options.users:,} lists of {LENGTH}, {shards} shards, {size / options.users:.0f} bytes of files a list")


def made(spark: SparkSession, users: int):  # type: ignore[no-untyped-def]
    """Rows as of the published table, in an order of no use to anyone."""
    rows = spark.range(0, users * LENGTH, 1, 8).withColumn("user", F.col("id") % users)
    rank = (F.floor(F.col("id") / users) + 1).cast("int")
    return rows.select(
        F.concat(F.lit("user-"), F.col("user")).alias("user_id"),
        rank.alias("rank"),
        F.concat(F.lit("item-"), F.abs(F.xxhash64("id", F.lit(SEED))) % ITEMS).alias("item_id"),
        (1.0 / (rank + F.rand(SEED))).cast("float").alias("score"),
        F.lit("model").alias("reason_code"),
        F.lit(None).cast("string").alias("reason_item_id"),
    )


if __name__ == "__main__":
    main()
