"""Time the top 100 of every user over the whole catalogue, beside a matrix product and Spark ALS.

    .venv/bin/python benchmarks/scoring.py --root .data/ncf-ml-1m [--repeats 5]

Takes the production model and the interactions of a root that `jobs/pipeline.py` has made. In each repeat four take
their turn, warm, on all cores of the machine:

- job: the transform of `jobs/recommend.py`, seen items left out, its rows thrown away;
- scorer: the same arithmetic in this process, without Spark;
- product: one numpy (items, m) @ (m, k) a user, with m x k the size of the model's second dense layer;
- ALS: `recommendForAllUsers(100)` of Spark's ALS, rank 64, which does a hundredth of the arithmetic a pair.

Prints Markdown: pairs of user and item a second, and each repeat's ratio to the product.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from bench import header, local_session, seconds_of, spread, thrown_away
from deltalake import DeltaTable
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from two_stage import with_lists

from recsys_spark import columns as c
from recsys_spark.models.scoring import BlockScorer
from recsys_spark.recommend.fallback import Popular
from recsys_spark.recommend.lists import Policy, top_n_lists
from recsys_spark.storage import load_arrays, load_manifest

N, BLOCK_USERS, RANK = 100, 256, 64


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="with the tables and the model of a whole pipeline")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--driver-memory", default="4g", help="heap of the session, which is local")
    options = parser.parse_args()
    print(header(42, f"top {N}"), flush=True)
    spark = local_session(options.driver_memory)
    models = DeltaTable(str(options.root / "models")).to_pyarrow_dataset().to_table().to_pylist()
    model = max((row for row in models if row[c.FIT] == "production"), key=lambda row: row["created_at"])
    interactions = spark.read.format("delta").load(str(options.root / "interactions"))
    interactions = interactions.where(F.col(c.AS_OF_DATE) == F.lit(model[c.AS_OF_DATE]))
    works = alternatives(spark, interactions, model["path"])
    users = interactions.select(c.USER_IDX).distinct().count()
    items = load_manifest(model["path"])["model"]["n_items"]
    for work in works.values():
        work()  # warms it up
    taken = [{name: seconds_of(work) for name, work in works.items()} for _ in range(options.repeats)]
    print(f"- {users:,} users x {items:,} items, model {model[c.MODEL_VERSION]}\n")
    print("| | million pairs/s, median (least to greatest) | ratio to the product |\n| --- | --- | --- |")
    for name in works:
        rates = [users * items / seconds[name] / 1e6 for seconds in taken]
        ratios = [seconds["product"] / seconds[name] for seconds in taken]
        print(f"| {name} | {spread(rates, '.2f')} | {spread(ratios, '.2f')} |")
    spark.stop()


def alternatives(spark: SparkSession, interactions: DataFrame, artifact: str) -> dict[str, Any]:
    """What is timed, by name; each call does the whole work once."""
    sizes = load_manifest(artifact)["model"]
    weights = {name.rpartition("/")[2]: array for name, array in load_arrays(artifact).items()}
    users = with_lists(interactions)
    rows = users.select(c.USER_IDX, "seen").orderBy(c.USER_IDX).collect()  # a benchmark's own size: MovieLens
    user_idx = np.array([row[c.USER_IDX] for row in rows])
    indptr = np.concatenate([[0], np.cumsum([len(row["seen"]) for row in rows])])
    seen = np.concatenate([row["seen"] for row in rows]).astype(np.int32)
    policy = Policy(artifact, N, True, BLOCK_USERS)
    nothing = Popular(np.arange(sizes["n_items"], dtype=np.int32), np.zeros(sizes["n_items"], np.float32), {})
    lists = users.transform(top_n_lists(policy, spark.sparkContext.broadcast(nothing)))
    scorer = BlockScorer(weights, threads=os.cpu_count() or 1)
    pairs = interactions.select(c.USER_IDX, c.ITEM_IDX, F.lit(1.0).alias("rating"))
    als = ALS(
        rank=RANK, maxIter=3, implicitPrefs=True, userCol=c.USER_IDX, itemCol=c.ITEM_IDX, ratingCol="rating", seed=42
    ).fit(pairs)
    units = len(weights["hidden_kernel_2"])
    hidden = np.random.default_rng(0).standard_normal((sizes["n_items"], units), dtype=np.float32)
    return {
        "job": lambda: thrown_away(lists),
        "scorer": lambda: scorer.top_n(user_idx, N, (indptr, seen)),
        "product": lambda: product(len(user_idx), hidden, np.asarray(weights["hidden_kernel_2"])),
        "ALS": lambda: thrown_away(als.recommendForAllUsers(N)),
    }


def product(users: int, hidden: Any, kernel: Any) -> None:
    """One (items, m) @ (m, k) for each user, into the same place."""
    into = np.empty((len(hidden), kernel.shape[1]), dtype=np.float32)
    for _ in range(users):
        np.matmul(hidden, kernel, out=into)


if __name__ == "__main__":
    main()
