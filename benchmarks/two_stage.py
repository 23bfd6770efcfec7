"""Time two-stage lists of 100 beside Spark ALS, and say how good both are.

    .venv/bin/python benchmarks/two_stage.py --config conf/ml-1m.yaml --root .data/two-stage
    .venv/bin/python benchmarks/two_stage.py --made 32768 100000 [--als-users 4096] [--index ivf]

With a root: its newest evaluate fits of `--retriever` and `--ranker` make lists for all users, and ALS, of the settings of the
baseline `als`, learns from the same train part. Train the two first, with the same root:

    .venv/bin/spark-submit jobs/pipeline.py --config conf/ml-1m.yaml --root .data/two-stage --until train \\
        --set "examples.fits=[evaluate]" --set model.name=matrix_factorization

and again with `model.name=neumf`. With `--made USERS ITEMS`: weights and histories by chance, of the same sizes; only speed is
measured then, ALS for as many users as are asked for, since each user costs it the same.

In each repeat all take their turn, warm, in local mode on all cores; what they make is thrown away:

- two stages: the transform of `jobs/recommend.py`: the retriever's best 500, scored by the ranker, the best 100 kept;
- re-ranked: likewise, and the 500 re-ranked by MMR over the model's vectors, relevance 0.9;
- retriever: its best 100, in one stage;
- ALS: `recommendForAllUsers(100)` of the same width as the retriever. It leaves nothing out; ours leave out what was seen.

Quality is over the whole catalogue, against the test part, what was seen in train left out for all. Prints Markdown: users a
second, the ratio to ALS in each repeat, the largest memory of a Python worker.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from bench import header, local_session, seconds_of, spread, thrown_away
from deltalake import DeltaTable
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pytrec_eval import RelevanceEvaluator

from recsys_spark import columns as c
from recsys_spark.config import load_config
from recsys_spark.interactions.pairs import positives_in
from recsys_spark.interactions.split import TEST, TRAIN
from recsys_spark.ragged import NO_ITEM
from recsys_spark.recommend import approximate
from recsys_spark.recommend.fallback import Popular
from recsys_spark.recommend.lists import Policy, top_n_lists
from recsys_spark.recommend.reasons import RETRIEVER
from recsys_spark.recommend.rerank import ItemFacts, policy_of
from recsys_spark.recommend.sources import Sources
from recsys_spark.settings import Config
from recsys_spark.storage import load_arrays, load_manifest, save_folder
from recsys_spark.training.checkpoint import CATALOGUE

N, POOL, BLOCK_USERS, HISTORY, SEED = 100, 500, 256, 50, 42
MIB = 2**20
METRICS = {"ndcg_cut_10": "NDCG@10", "ndcg_cut_100": "NDCG@100", "recall_100": "recall@100"}
Lists = Callable[[DataFrame], DataFrame]


@dataclass(frozen=True)
class Work:
    """What all of them work on: `users` as `top_n_lists` takes them, of artifacts with as many items."""

    users: DataFrame
    pairs: DataFrame
    retriever: str
    ranker: str
    relevant: DataFrame | None = None


def main() -> None:
    """Print a Markdown table or two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", action="append", default=[], help="as the jobs take it")
    parser.add_argument("--root", type=Path, help="with an evaluate fit of the retriever and one of the ranker")
    parser.add_argument("--made", type=int, nargs=2, metavar=("USERS", "ITEMS"))
    parser.add_argument("--als-users", type=int, default=4096, help="with --made: users that ALS makes lists for")
    parser.add_argument("--retriever", default="matrix_factorization")
    parser.add_argument("--ranker", default="neumf")
    parser.add_argument("--index", choices=("exact", "ivf"), default="exact")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--driver-memory", default="4g", help="heap of the session, which is local")
    options = parser.parse_args()
    if (options.root is None) == (options.made is None):
        parser.error("one of --root and --made is needed")
    config = load_config(options.config)
    spark = local_session(options.driver_memory)
    with tempfile.TemporaryDirectory() as folder:
        work = made(spark, config, options, folder) if options.made else trained(spark, options)
        compare(spark, config, options, work)
    spark.stop()


def trained(spark: SparkSession, options: argparse.Namespace) -> Work:
    """What a root holds."""
    models = DeltaTable(str(options.root / "models")).to_pyarrow_dataset().to_table().to_pylist()
    newest = {
        row[c.MODEL_NAME]: row for row in sorted(models, key=lambda row: row["created_at"]) if row[c.FIT] == "evaluate"
    }
    read = spark.read.format("delta").load
    as_of = newest[options.ranker][c.AS_OF_DATE]
    interactions = read(str(options.root / "interactions")).where(F.col(c.AS_OF_DATE) == F.lit(as_of))
    pairs = (
        interactions.where(positives_in(TRAIN) > 0).select(c.USER_IDX, c.ITEM_IDX, F.lit(1.0).alias("rating")).persist()
    )
    relevant = interactions.where((positives_in(TEST) > 0) & (positives_in(TRAIN) == 0)).select(c.USER_IDX, c.ITEM_IDX)
    paths = [newest[name]["path"] for name in (options.retriever, options.ranker)]
    return Work(with_lists(pairs), pairs, *paths, relevant)


def made(spark: SparkSession, config: Config, options: argparse.Namespace, folder: str) -> Work:
    """Weights by chance, and a history of `HISTORY` items for each user; every item is in one at least."""
    users, items = options.made
    paths = [
        made_artifact(config, name, users, items, f"{folder}/{name}") for name in (options.retriever, options.ranker)
    ]
    drawn = F.array_distinct(
        F.transform(F.sequence(F.lit(1), F.lit(HISTORY)), lambda _: F.floor(F.rand(SEED) * items).cast("int"))
    )
    own = spark.range(users).select(F.col("id").cast("int").alias(c.USER_IDX), F.explode(drawn).alias(c.ITEM_IDX))
    everything = spark.range(items).select(
        (F.col("id") % users).cast("int").alias(c.USER_IDX), F.col("id").cast("int").alias(c.ITEM_IDX)
    )
    pairs = own.union(everything).distinct().withColumn("rating", F.lit(1.0)).persist()
    return Work(with_lists(pairs), pairs, *paths)


def made_artifact(config: Config, name: str, users: int, items: int, location: str) -> str:
    """An artifact with the weights that a training begins with."""
    from recsys_spark.models import build_model
    from recsys_spark.training.setup import scoring_of

    settings = getattr(config.model, name).arguments()
    model = build_model(name, settings, users, items)
    arrays = {f"{place:03d} {weight.path}": np.asarray(weight) for place, weight in enumerate(model.weights)}
    manifest = {
        "format": 1,
        "model_version": f"{name}-made",
        "model": {"name": name, "settings": settings, "n_users": users, "n_items": items},
        "scoring": dict(scoring_of(model)),
    }
    save_folder(location, manifest, arrays | ({CATALOGUE: np.asarray(model.catalogue())} if model.retrieves else {}))
    return location


def with_lists(pairs: DataFrame) -> DataFrame:
    """`(user_idx, segment, seen, items)`, in four tasks a core."""
    nothing = {c.SEGMENT: F.lit(None).cast("string"), c.ITEMS: F.lit(None).cast("array<int>")}
    users = pairs.groupBy(c.USER_IDX).agg(F.array_sort(F.collect_list(c.ITEM_IDX)).alias("seen")).withColumns(nothing)
    return users.repartition(4 * pairs.sparkSession.sparkContext.defaultParallelism, c.USER_IDX).persist()


def compare(spark: SparkSession, config: Config, options: argparse.Namespace, work: Work) -> None:
    """Warm all up, let them take their turn, print."""
    users, items = work.users.count(), load_manifest(work.ranker)["model"]["n_items"]
    width = load_arrays(work.retriever)[CATALOGUE].shape[1]
    sizes = f"{users:,} users x {items:,} items, vectors of {width} and ALS of rank {width}"
    print(header(SEED, f"top {N} of {POOL}", f"index {options.index}", sizes), flush=True)
    als = fitted_als(config, work.pairs, width)
    lists = ours(spark, config, options, work)
    some = (
        work.pairs.select(c.USER_IDX).distinct().where(F.col(c.USER_IDX) < options.als_users).persist()
        if options.made
        else None
    )
    of_als = users if some is None else some.count()
    of_some = als.recommendForAllUsers(N) if some is None else als.recommendForUserSubset(some, N)
    works = {name: work.users.transform(make) for name, make in lists.items()} | {"ALS": of_some}
    peaks: dict[str, int] = {}
    for name, made_lists in works.items():
        with Workers() as workers:
            thrown_away(made_lists)
        peaks[name] = workers.peak
    taken = [
        {name: seconds_of(lambda rows=rows: thrown_away(rows)) for name, rows in works.items()}
        for _ in range(options.repeats)
    ]
    print(
        "\n| | users/s, median (least to greatest) | times ALS | largest Python worker, MiB |\n| --- | --- | --- | --: |"
    )
    for name in works:
        of = of_als if name == "ALS" else users
        ratios = [of / seconds[name] / (of_als / seconds["ALS"]) for seconds in taken]
        rates = [of / seconds[name] for seconds in taken]
        print(f"| {name} | {spread(rates)} | {spread(ratios, '.1f')} | {peaks[name] / MIB:,.0f} |")
    if work.relevant is not None:
        print_quality(works | {"ALS": als_without_seen(als, work)}, work.relevant)


def ours(spark: SparkSession, config: Config, options: argparse.Namespace, work: Work) -> Mapping[str, Lists]:
    """The transforms, by name."""
    broadcast, settings = spark.sparkContext.broadcast, config.recommend.candidates
    vectors = load_arrays(work.retriever)[CATALOGUE]
    index = approximate.built(work.retriever, vectors, config.run.driver_bytes) if options.index == "ivf" else ""
    effort = settings.ivf_probed, settings.ivf_rescored
    sources = broadcast(Sources({RETRIEVER: POOL}, work.ranker, work.retriever, index, *effort))
    items = load_manifest(work.ranker)["model"]["n_items"]
    nothing = broadcast(Popular(np.arange(items, dtype=np.int32), np.zeros(items, np.float32), {}))
    unknown = np.full(items, NO_ITEM, np.int32)
    facts = broadcast(ItemFacts(np.full(items, np.nan, np.float32), unknown, unknown))
    by_mmr = load_config(settings=["recommend.rerank.diversity.kind=mmr", "recommend.rerank.diversity.relevance=0.9"])
    reranked = Policy(work.ranker, N, True, BLOCK_USERS, None, policy_of(by_mmr.recommend.rerank, (), SEED, 0))
    return {
        "two stages": top_n_lists(Policy(work.ranker, N, True, BLOCK_USERS), nothing, None, sources),
        "two stages, re-ranked": top_n_lists(reranked, nothing, None, sources, facts),
        "retriever": top_n_lists(Policy(work.retriever, N, True, BLOCK_USERS), nothing),
    }


def fitted_als(config: Config, pairs: DataFrame, rank: int) -> ALSModel:
    """Spark's ALS by the settings of the baseline of that name."""
    of = config.evaluate
    als = ALS(
        rank=rank, maxIter=of.als_iterations, regParam=of.als_regularisation, alpha=of.als_alpha, implicitPrefs=True
    )
    return als.setUserCol(c.USER_IDX).setItemCol(c.ITEM_IDX).setRatingCol("rating").setSeed(SEED).fit(pairs)


def als_without_seen(als: ALSModel, work: Work) -> DataFrame:
    """ALS's best 100 once what was seen is out: asked for as many more as the longest history has. Not timed."""
    longest = work.users.agg(F.max(F.size("seen"))).head()
    best = als.recommendForAllUsers(N + (longest[0] if longest else 0)).select(
        c.USER_IDX, F.posexplode("recommendations").alias("place", "of")
    )
    unseen = best.select(c.USER_IDX, "place", F.col("of.item_idx").alias(c.ITEM_IDX), F.col("of.rating").alias(c.SCORE))
    return unseen.join(work.pairs, on=[c.USER_IDX, c.ITEM_IDX], how="left_anti")


def print_quality(works: Mapping[str, DataFrame], relevant: DataFrame) -> None:
    """Means over the users of the test part, by trec_eval's own measures."""
    truth: dict[str, dict[str, int]] = {}
    for row in relevant.collect():  # a benchmark's own size: MovieLens
        truth.setdefault(str(row[c.USER_IDX]), {})[str(row[c.ITEM_IDX])] = 1
    evaluator = RelevanceEvaluator(truth, {"ndcg_cut.10,100", "recall.100"})
    print(f"\n| {len(truth):,} users | {' | '.join(METRICS.values())} |\n| --- |{' --: |' * len(METRICS)}")
    for name, rows in works.items():
        place = F.col(c.RANK) if c.RANK in rows.columns else F.col("place")
        found: dict[str, dict[str, float]] = {}
        for row in rows.select(c.USER_IDX, c.ITEM_IDX, (-place).alias(c.SCORE)).collect():
            found.setdefault(str(row[c.USER_IDX]), {})[str(row[c.ITEM_IDX])] = float(row[c.SCORE])
        measured = evaluator.evaluate({user: best_of(own) for user, own in found.items()}).values()
        means = [sum(each[metric] for each in measured) / len(truth) for metric in METRICS]
        print(f"| {name} | {' | '.join(f'{mean:.4f}' for mean in means)} |")


def best_of(own: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(own.items(), key=lambda pair: -pair[1])[:N])


class Workers(threading.Thread):
    """The most memory that one of Spark's Python workers holds of its own, in bytes, looked at ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self._done = 0, threading.Event()

    def __enter__(self) -> Workers:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._done.wait(0.1):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "python" in process.name():
                        self.peak = max(self.peak, process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue


if __name__ == "__main__":
    main()
