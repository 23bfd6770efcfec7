"""Training speed: the loop as it runs, against the same loop fed from memory, and two ranks against two trainings.

    .venv/bin/python benchmarks/training.py --root .data/ncf-ml-1m [--repeats 5] [--ranks]

Reads the examples of a root that `jobs/pipeline.py` has made. A sample is one user-item pair, positive or negative.
Figures are medians over the repeats, each repeat taking the alternatives in turn; the ratio is taken within a repeat.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

NEGATIVES = 4
SIZES = ["model.neumf.gmf_width=64", "model.neumf.mlp_width=64", "model.neumf.mlp_layers=[128, 64]"]


def make_job(root: str, folder: str) -> Any:
    """A job over the evaluate fit's first draw, for the sizes that are compared everywhere."""
    import pyarrow as pa
    from deltalake import DeltaTable

    from recsys_spark.config import load_config
    from recsys_spark.files import LiveFile
    from recsys_spark.training.job import Job, ModelSpec

    config = load_config(settings=SIZES)
    log = DeltaTable(f"{root}/train_examples")
    actions = pa.table(log.get_add_actions(flatten=True)).to_pylist()
    newest = max(action["partition.as_of_date"] for action in actions)
    files = tuple(
        LiveFile(f"{root}/train_examples/{action['path']}", action["num_records"])
        for action in actions
        if (action["partition.as_of_date"], action["partition.fit"], action["partition.draw"])
        == (newest, "evaluate", 0)
    )
    sizes = [len(DeltaTable(f"{root}/{name}").to_pyarrow_dataset().to_table(columns=[])) for name in ("users", "items")]
    spec = ModelSpec("neumf", config.model.neumf.model_dump() | {"seed": 42}, *sizes)
    return Job(
        title="benchmark",
        model=spec,
        training=config.training,
        negatives=NEGATIVES,
        draws=(files,),
        validation=(),
        epochs=1,
        seed=42,
        checkpoint=f"{folder}/{os.getpid()}",
        identity=str(time.time()),
    )


def seconds_of(step: Callable[[Any], None], batches: Iterable[Any]) -> float:
    """How long it takes to train on all the batches."""
    started = time.perf_counter()
    for batch in batches:
        step(batch)
    return time.perf_counter() - started


def fed_and_from_memory(job: Any, repeats: int) -> list[tuple[float, float]]:
    """Samples a second, (fed by Petastorm, fed from memory), for each repeat."""
    import tensorflow as tf

    from recsys_spark.feed.batches import dataset, epoch_batches, pair_columns
    from recsys_spark.feed.shards import plan_epoch
    from recsys_spark.training.distributed import OneRank
    from recsys_spark.training.setup import build

    plan, columns = plan_epoch(job.draws[0], 1, job.training.batch_rows), pair_columns(NEGATIVES)
    _, trainer = build(job, OneRank())
    held = [tf.constant(batch) for batch in epoch_batches(plan, columns, 0, 1, 0)]
    samples = plan.rows * (1 + NEGATIVES)
    seconds_of(trainer.step, held[:50])
    rates = []
    for repeat in range(repeats):
        fed = seconds_of(trainer.step, dataset(plan, columns, 0, 1, repeat + 1))
        rates.append((samples / fed, samples / seconds_of(trainer.step, held)))
    return rates


def rate_of_fit(job: Any, ranks: Any) -> float:
    """Samples a second, over all ranks, of the second epoch of a training: the first one compiles."""
    import dataclasses

    from recsys_spark.training.loop import fit

    outcome = fit(dataclasses.replace(job, epochs=2), ranks)
    return outcome.history[1].samples / outcome.history[1].seconds


def two_ranks(root: str, folder: str) -> float:
    """Samples a second of two ranks, one core each."""
    from pyspark.sql import SparkSession

    from recsys_spark.training.distributed import launch

    spark = SparkSession.builder.master("local[2]").getOrCreate()
    return launch(spark, 2, partial(rate_of_fit, make_job(root, folder)), threads=1)


def two_trainings(root: str) -> float:
    """Samples a second of two trainings at once, a core each, added up."""
    command = [sys.executable, __file__, "--root", root, "--alone"]
    running = [
        subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.PIPE, text=True) for core in (0, 1)
    ]
    return sum(float(process.communicate()[0].splitlines()[-1]) for process in running)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ranks", action="store_true", help="also compare two ranks with two trainings")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.alone:
            from recsys_spark.training.distributed import OneRank

            print(rate_of_fit(make_job(options.root, folder), OneRank()))
            return
        print(f"{date.today()}, {os.cpu_count()} cores, `{' '.join(sys.argv)}`, seed 42\n")
        print("| | samples/s, median (min, max) | ratio, median (min, max) |\n| --- | --- | --- |")
        rates = fed_and_from_memory(make_job(options.root, folder), options.repeats)
        report("fed by Petastorm / from memory", [fed for fed, _ in rates], [fed / held for fed, held in rates])
        if options.ranks:
            pairs = [(two_ranks(options.root, folder), two_trainings(options.root)) for _ in range(options.repeats)]
            report("2 ranks / 2 trainings at once", [one for one, _ in pairs], [one / two for one, two in pairs])


def report(what: str, rates: list[float], ratios: list[float]) -> None:
    """One row of the table."""
    of_rates = f"{statistics.median(rates):,.0f} ({min(rates):,.0f}, {max(rates):,.0f})"
    print(
        f"| {what} | {of_rates} | {statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f}) |", flush=True
    )


if __name__ == "__main__":
    main()
