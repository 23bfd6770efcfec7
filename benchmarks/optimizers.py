"""Time a training step of one embedding table, by its height: our lazy Adam and Adagrad, beside Keras's Adam.

    .venv/bin/python benchmarks/optimizers.py [--repeats 5] [--rows 10000,1000000,10000000]

A step looks up 8,192 rows of width 16, drawn evenly, takes the gradient of half the sum of their squares, a
`tf.IndexedSlices`, and updates the table. Ours reads and writes those rows alone; Keras's Adam updates the whole table,
as rows that no batch has still move by their moments there. A training would update the lowest of these tables whole,
see `training.dense_rows`: the optimizers are shown by themselves.

In each repeat the three take their turn, 50 steps each on fresh batches (Keras's fewer where the table is high). As many
go before them untimed: on a virtual machine the first steps of a turn wait for the table's pages, which the turns of the
others have pushed out, many times longer than a step takes. 10 million rows need some 8 GB of memory.

Prints Markdown: milliseconds a step, median over the repeats with least and greatest, and of the ratios in a repeat.
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from bench import header, seconds_of, spread

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

WIDTH, LOOKUPS, SEED = 16, 8192, 42
STEPS = 50  # of a turn
KERAS_ROWS = 3_000_000  # that Keras's Adam goes over in a turn, if that is fewer steps


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", default="10000,1000000,10000000", help="heights of the table, with commas between")
    options = parser.parse_args()
    import tensorflow as tf

    print(header(SEED, f"TensorFlow {tf.__version__}") + "\n")
    print("| rows of the table | our lazy Adam, ms | our lazy Adagrad, ms | Keras's Adam, ms | Keras's / our Adam |")
    print("| ---: | --- | --- | --- | --- |", flush=True)
    for rows in map(int, options.rows.split(",")):
        adam, adagrad, keras_adam = times(rows, options.repeats)
        ratios = [theirs / ours for theirs, ours in zip(keras_adam, adam, strict=True)]
        figures = [spread(each, ".1f") for each in (adam, adagrad, keras_adam, ratios)]
        print(f"| {rows:,} | {' | '.join(figures)} |", flush=True)
        gc.collect()


def times(rows: int, repeats: int) -> list[list[float]]:
    """Milliseconds a step in each repeat, of our Adam, our Adagrad and Keras's Adam in turn, on a table of that height."""
    import keras

    from recsys_spark.training.optimizers import Adagrad, Adam

    draw = np.random.default_rng(SEED)
    steps = [ours(rows, Adam(0.001)), ours(rows, Adagrad(0.001)), theirs(rows, keras.optimizers.Adam(0.001))]
    counts = [STEPS, STEPS, min(STEPS, max(1, KERAS_ROWS // rows))]
    taken: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats):
        for place, (step, count) in enumerate(zip(steps, counts, strict=True)):
            run(step, batches(draw, rows, count))
            taken[place].append(1000.0 * run(step, batches(draw, rows, count)) / count)
    return taken


def ours(rows: int, optimizer: Any) -> Callable[[Any], Any]:
    """A compiled step of one of our optimizers on a table of its own."""
    table = new_table(rows)
    optimizer.build([table])
    return compiled(table, lambda gradient: optimizer.apply([gradient]))


def theirs(rows: int, optimizer: Any) -> Callable[[Any], Any]:
    """The same of one of Keras's."""
    table = new_table(rows)
    optimizer.build([table])
    return compiled(table, lambda gradient: optimizer.apply([gradient], [table]))


def new_table(rows: int) -> Any:
    import keras

    return keras.Variable(keras.initializers.RandomUniform(seed=SEED), shape=(rows, WIDTH))


def compiled(table: Any, apply: Callable[[Any], None]) -> Callable[[Any], Any]:
    """Indices, int32 (n,) -> loss, after `apply` of the table's gradient."""
    import tensorflow as tf

    @tf.function
    def step(indices: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.nn.l2_loss(tf.gather(table.value, indices))
        gradient = tape.gradient(loss, table.value)
        assert isinstance(gradient, tf.IndexedSlices)
        apply(gradient)
        return loss

    return step


def batches(draw: np.random.Generator, rows: int, count: int) -> list[Any]:
    """Rows to look up, on the device."""
    import tensorflow as tf

    return [tf.constant(draw.integers(0, rows, LOOKUPS), tf.int32) for _ in range(count)]


def run(step: Callable[[Any], Any], held: list[Any]) -> float:
    """Seconds that the steps take, the last one waited for."""

    def all_of_them() -> None:
        losses = [step(indices) for indices in held]
        losses[-1].numpy()

    return seconds_of(all_of_them)


if __name__ == "__main__":
    main()
