"""Training speed: the loop as it runs, against itself fed from memory, RecBole's, and two trainings at once.

    .venv/bin/python benchmarks/training.py --root .data/ncf-ml-1m [--repeats 5] [--ranks] [--recbole PYTHON]
        [--batch-rows 1638]

Reads the examples of a root that `jobs/pipeline.py` has made. A sample is one user-item pair, positive or negative.
Figures are medians over the repeats, each repeat taking the alternatives in turn; the ratio is taken within a repeat.
What `--recbole` needs is said in `recbole_neumf.py`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from bench import header, seconds_of, spread

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

NEGATIVES = 4
SIZES = ["model.neumf.gmf_width=64", "model.neumf.mlp_width=64", "model.neumf.mlp_layers=[128, 64]"]


def make_job(root: str, folder: str, batch_rows: int) -> Any:
    """A job over the evaluate fit's first draw, for the sizes that are compared everywhere."""
    import pyarrow as pa
    from deltalake import DeltaTable

    from recsys_spark.config import load_config
    from recsys_spark.files import LiveFile
    from recsys_spark.training.job import Job, ModelSpec

    config = load_config(settings=[*SIZES, f"training.batch_rows={batch_rows}"])
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
    spec = ModelSpec("neumf", config.model.neumf.arguments() | {"seed": 42}, *sizes)
    return Job(
        title="benchmark",
        model=spec,
        training=config.training,
        kind="pairs",
        negatives=NEGATIVES,
        window=config.examples.window,
        draws=(files,),
        validation=(),
        epochs=1,
        seed=42,
        checkpoint=f"{folder}/{os.getpid()}",
        identity=str(time.time()),
    )


def train_on(steps: Callable[[Any], None], stacks: Iterable[Any]) -> None:
    """Train on all the batches, and wait for the last."""
    for stack in stacks:
        steps(stack)


def fed_and_from_memory(job: Any, repeats: int, ranks: Any) -> list[tuple[float, float]]:
    """Samples a second, (fed by Petastorm, fed from memory), for each repeat."""
    import tensorflow as tf

    from recsys_spark.feed.batches import dataset, epoch_stacks
    from recsys_spark.feed.layouts import layout_of
    from recsys_spark.feed.shards import plan_epoch
    from recsys_spark.training.setup import build

    plan, layout = plan_epoch(job.draws[0], 1, job.training.batch_rows), layout_of("pairs", NEGATIVES, 0)
    _, trainer = build(job, ranks)
    at_once = job.training.steps_per_call
    held = [tf.constant(stack) for stack in epoch_stacks(plan, layout, 0, 1, 0, at_once)]
    samples = plan.rows * (1 + NEGATIVES)
    for warm_up in (held, dataset(plan, layout, 0, 1, 0, at_once)):
        train_on(trainer.steps, warm_up)
    rates = []
    for repeat in range(repeats):
        stacks = dataset(plan, layout, 0, 1, repeat + 1, at_once)
        fed = seconds_of(lambda stacks=stacks: train_on(trainer.steps, stacks))
        rates.append((samples / fed, samples / seconds_of(lambda: train_on(trainer.steps, held))))
    return rates


def in_process(train: Callable[[Any], Any]) -> Any:
    """What `train` returns of one rank in this process, with its threads as the job sets them."""
    from recsys_spark.training.distributed import launch

    no_session: Any = None  # one rank needs none
    return launch(no_session, 1, train, threads=0)


def rate_of_fit(job: Any, ranks: Any) -> float:
    """Samples a second, over all ranks, of the second epoch of a training: the first one compiles."""
    import dataclasses

    from recsys_spark.training.loop import fit

    outcome = fit(dataclasses.replace(job, epochs=2), ranks)
    return outcome.history[1].samples / outcome.history[1].seconds


def fresh(job: Any) -> Any:
    """The same job with no checkpoint to go on from."""
    import dataclasses

    return dataclasses.replace(job, identity=str(time.time()))


def two_ranks(job: Any) -> float:
    """Samples a second of two ranks, one core each."""
    from pyspark.sql import SparkSession

    from recsys_spark.training.distributed import launch

    spark = SparkSession.builder.master("local[2]").getOrCreate()
    return launch(spark, 2, partial(rate_of_fit, job), threads=1)


def two_trainings(root: str, batch_rows: int) -> float:
    """Samples a second of two trainings at once, a core each, added up."""
    command = alone(root, batch_rows)
    running = [
        subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.PIPE, text=True) for core in (0, 1)
    ]
    return sum(float(process.communicate()[0].splitlines()[-1]) for process in running)


def recbole(python: str, pairs: Path) -> float:
    """Samples a second of RecBole's NeuMF of the same sizes on the same positives."""
    program = Path(__file__).with_name("recbole_neumf.py")
    done = subprocess.run([python, str(program), str(pairs)], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def ours(root: str, batch_rows: int) -> float:
    """Samples a second of one training in a process of its own, on all cores."""
    done = subprocess.run(alone(root, batch_rows), stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def alone(root: str, batch_rows: int) -> list[str]:
    """The command of one training, which prints its samples a second last."""
    return [sys.executable, __file__, "--root", root, "--batch-rows", str(batch_rows), "--alone"]


def write_pairs(job: Any, path: Path) -> Path:
    """The positives of a job as lines `user,item`."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    tables = [pq.read_table(file.url, columns=["user_idx", "item_idx"], partitioning=None) for file in job.draws[0]]
    pyarrow.csv.write_csv(pa.concat_tables(tables), path, pyarrow.csv.WriteOptions(include_header=False))
    return path


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-rows", type=int, default=1638, help="of one rank: 1638 are 8,190 samples")
    parser.add_argument("--ranks", action="store_true", help="also compare two ranks with two trainings")
    parser.add_argument("--recbole", metavar="PYTHON", help="also compare with RecBole, of that environment")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.alone:
            print(in_process(partial(rate_of_fit, make_job(options.root, folder, options.batch_rows))))
            return
        print(header(42) + "\n")
        print("| | samples/s, median (min to max) | ratio, median (min to max) |\n| --- | --- | --- |", flush=True)
        job = make_job(options.root, folder, options.batch_rows)
        rates = in_process(partial(fed_and_from_memory, job, options.repeats))
        report("fed by Petastorm / from memory", [fed for fed, _ in rates], [fed / held for fed, held in rates])
        if options.ranks:
            pairs = [
                (two_ranks(fresh(job)), two_trainings(options.root, options.batch_rows)) for _ in range(options.repeats)
            ]
            report("2 ranks / 2 trainings at once", [one for one, _ in pairs], [one / two for one, two in pairs])
        if options.recbole:
            positives = write_pairs(job, Path(folder) / "pairs.csv")
            pairs = [
                (ours(options.root, options.batch_rows), recbole(options.recbole, positives))
                for _ in range(options.repeats)
            ]
            report("a training of ours / RecBole's", [one for one, _ in pairs], [one / two for one, two in pairs])


def report(what: str, rates: list[float], ratios: list[float]) -> None:
    """One row of the table."""
    print(f"| {what} | {spread(rates)} | {spread(ratios, '.2f')} |", flush=True)


if __name__ == "__main__":
    main()
