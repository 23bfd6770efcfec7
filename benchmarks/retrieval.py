"""Approximate retrieval beside exact: recall@100, and the size of the catalogue from which it is faster.

    .venv/bin/python benchmarks/retrieval.py [--items 10000 30000 100000 300000 1000000] [--artifact FOLDER]

For each size, item vectors are made (or the first so many of a real artifact's catalogue are taken, if it has as many), the
index of `recommend/approximate.py` is built, and both answer the same queries on one core, as a Spark task does: exact by
blocks (`DotScorer.top_n`), approximate with several shares of its lists. Made vectors lie around centres, with lengths
that differ as those of popular and rare items do; queries lie around the same centres. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from typing import Any

import numpy as np
from bench import header, seconds_of, timed
from threadpoolctl import threadpool_limits

from recsys_spark.models.retrieval import DotScorer, Own
from recsys_spark.recommend import approximate
from recsys_spark.storage import load_arrays

N, SEED, BLOCK = 100, 42, 256


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--probed", type=float, nargs="+", default=[0.125, 0.25, 0.5, 1.0], help="values of ivf_probed")
    parser.add_argument("--rescored", type=int, default=8, help="ivf_rescored")
    parser.add_argument("--width", type=int, default=64, help="of made vectors")
    parser.add_argument("--queries", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--artifact", help="a folder of a model that retrieves; its vectors are its queries too")
    options = parser.parse_args()
    print(header(SEED, f"top {N}", f"{options.rescored} times as many rescored"), flush=True)
    print(
        "\n| items | build, s | exact, ms a query | share of lists | approximate, ms a query | recall@100 | times as fast |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for items in options.items:
        vectors, queries = made(items, options) if options.artifact is None else real(items, options)
        measure(vectors, queries, options)


def made(items: int, options: argparse.Namespace) -> tuple[Any, Any]:
    """Vectors (items, d) and queries around common centres."""
    rng = np.random.default_rng(SEED)
    centres = rng.normal(size=(256, options.width))
    lengths = np.exp(rng.normal(0.0, 0.3, (items, 1)))
    vectors = (centres[rng.integers(256, size=items)] + rng.normal(size=(items, options.width))) * lengths
    queries = centres[rng.integers(256, size=options.queries)] + rng.normal(size=(options.queries, options.width))
    return vectors.astype(np.float32), queries.astype(np.float32)


def real(items: int, options: argparse.Namespace) -> tuple[Any, Any]:
    """The first vectors of an artifact's catalogue; items chosen by chance ask for those like them."""
    vectors = np.asarray(load_arrays(options.artifact)["catalogue"])[:items]
    chosen = np.random.default_rng(SEED).integers(len(vectors), size=options.queries)
    return vectors, vectors[chosen]


def measure(vectors: Any, queries: Any, options: argparse.Namespace) -> None:
    """Print the rows of one size."""
    exact, own = DotScorer(vectors), Own(np.empty((BLOCK, 0), np.int32), np.empty((BLOCK, 0), np.float32))
    blocks = [queries[start : start + BLOCK] for start in range(0, len(queries) - BLOCK + 1, BLOCK)]
    count = BLOCK * len(blocks)
    with tempfile.TemporaryDirectory() as folder:
        with timed() as building:
            location = approximate.built(folder, vectors, 1 << 40)
        with threadpool_limits(1):
            best = np.concatenate([exact.top_n(block, own, N)[0] for block in blocks])
            approximate.nearest(location, blocks[0], N, 1.0, 1)  # loads it
            taken = [
                seconds_of(lambda: [exact.top_n(block, own, N) for block in blocks]) for _ in range(options.repeats)
            ]
            exactly = statistics.median(taken) / count
            for probed in options.probed:
                asked = partial(approximate.nearest, location, most=N, probed=probed, rescored=options.rescored)
                found = np.concatenate([asked(block) for block in blocks])
                recall = np.mean([np.isin(one, other).mean() for one, other in zip(best, found, strict=True)])
                taken = [seconds_of(lambda ask=asked: [ask(block) for block in blocks]) for _ in range(options.repeats)]
                nearly = statistics.median(taken) / count
                print(
                    f"| {len(vectors):,} | {building[0]:.1f} | {exactly * 1e3:.3f} | {probed} | {nearly * 1e3:.3f} "
                    f"| {recall:.4f} | {exactly / nearly:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
