"""What the baselines hold: item-sized, or items x items where the catalogue is small, made in Spark from the train part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial, reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.errors import UserError
from recsys_spark.evaluate.neighbours import FoldedIn, ItemToItem, OwnFrequency, cosine_neighbours, ease
from recsys_spark.evaluate.scorers import Popularity, Scorer
from recsys_spark.interactions.pairs import positives_in
from recsys_spark.interactions.split import TRAIN
from recsys_spark.ranking import Floats
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_ATTRIBUTES
from recsys_spark.tables import SliceKey

RECENT_POPULARITY: Final = "recent_popularity"
CATEGORY_POPULARITY: Final = "category_popularity"
ITEM_KNN: Final = "item_knn"
EASE: Final = "ease"
ALS: Final = "als"
OWN_FREQUENCY: Final = "own_frequency"
BY_HISTORY: Final = (OWN_FREQUENCY, ITEM_KNN, EASE, ALS)

_OF_CATEGORY: Final = "of_category"
_SECONDS_A_DAY: Final = 86400


def fitted_baselines(run: Run, users_of_item: npt.NDArray[np.float64]) -> dict[str, Broadcast[Scorer]]:
    """The scorers of `evaluate.baselines` that have something to learn, by name, broadcast.

    Raises:
        UserError: the catalogue is too large for items x items on the driver.
    """
    n_items = len(users_of_item)
    gram = cache(partial(co_occurrences, run, n_items))  # of two baselines, counted when one of them asks
    makers: dict[str, Callable[[], Scorer]] = {
        RECENT_POPULARITY: lambda: _recent_popularity(run, n_items),
        CATEGORY_POPULARITY: lambda: _category_popularity(run, n_items),
        OWN_FREQUENCY: lambda: OwnFrequency(users_of_item, run.config.features.sequence_length),
        ITEM_KNN: lambda: _item_knn(run, gram()),
        EASE: lambda: _ease(run, gram()),
        ALS: lambda: _als(run, n_items),
    }
    fitted: dict[str, Broadcast[Scorer]] = {}
    for name in run.config.evaluate.baselines:
        if name in makers:
            run.say(f"fitting {name}")
            fitted[name] = run.spark.sparkContext.broadcast(makers[name]())
    return fitted


def _recent_popularity(run: Run, n_items: int) -> Scorer:
    """Events of each item in the last `evaluate.recent_days` of the train part. One shuffle by item."""
    sequences = _train_sequences(run)
    events = sequences.select(F.inline(F.arrays_zip(c.ITEMS, c.TIMES)).alias(c.ITEM_IDX, c.EVENT_TIME))
    newest = events.agg(F.max(c.EVENT_TIME).alias("newest")).head()
    since = (newest["newest"] if newest else 0) - run.config.evaluate.recent_days * _SECONDS_A_DAY
    counted = events.where(F.col(c.EVENT_TIME) > since).groupBy(c.ITEM_IDX).agg(F.count("*").alias(c.SCORE))
    return _popularity(run, n_items, counted, "recent popularity")


def _category_popularity(run: Run, n_items: int) -> Scorer:
    """Users of each item in train, and of one that nobody took there the mean over those of its category that were taken:
    what popularity can say of a cold item. One shuffle by category; an item without category is of those without.
    """
    of_fit: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate"}
    taken = run.tables.read_slice("item_features", of_fit).select(c.ITEM_IDX, c.USERS)
    categories = run.tables.read_or_empty(ITEM_ATTRIBUTES).select(c.ITEM_ID, c.CATEGORY)
    items = run.tables.read("items").select(c.ITEM_ID, c.ITEM_IDX).join(categories, on=c.ITEM_ID, how="left")
    items = items.withColumn(c.CATEGORY, F.coalesce(c.CATEGORY, F.lit(""))).join(taken, on=c.ITEM_IDX, how="left")
    means = items.groupBy(c.CATEGORY).agg(F.avg(c.USERS).alias(_OF_CATEGORY))
    scored = items.join(means, on=c.CATEGORY, how="left")
    score = F.coalesce(c.USERS, _OF_CATEGORY, F.lit(0.0)).alias(c.SCORE)
    return _popularity(run, n_items, scored.select(c.ITEM_IDX, score), "popularity by category")


def _popularity(run: Run, n_items: int, scored: DataFrame, what: str) -> Scorer:
    """The scores of items, a row each, 0 for items without one; they come to the driver."""
    kept = scored.persist()
    known = collect_columns(kept, [c.ITEM_IDX, c.SCORE], what, run.config.run.driver_bytes)
    kept.unpersist()
    scores = np.zeros(n_items)
    scores[known[c.ITEM_IDX]] = known[c.SCORE]
    return Popularity(scores)


def _item_knn(run: Run, gram: Floats) -> Scorer:
    config = run.config.evaluate
    return ItemToItem(cosine_neighbours(gram, config.knn_neighbours, config.knn_shrinkage), _length(run))


def _ease(run: Run, gram: Floats) -> Scorer:
    return ItemToItem(ease(gram, run.config.evaluate.ease_regularisation), _length(run))


def _als(run: Run, n_items: int) -> Scorer:
    """Spark MLlib's ALS on the train part's pairs; its item factors come to the driver."""
    from pyspark.ml import recommendation

    config = run.config.evaluate
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    pairs = interactions.where(positives_in(TRAIN) > 0).select(c.USER_IDX, c.ITEM_IDX, F.lit(1.0).alias(c.VALUE))
    model = recommendation.ALS(
        rank=config.als_rank,
        maxIter=config.als_iterations,
        regParam=config.als_regularisation,
        alpha=config.als_alpha,
        implicitPrefs=True,
        userCol=c.USER_IDX,
        itemCol=c.ITEM_IDX,
        ratingCol=c.VALUE,
        seed=run.seed,
    ).fit(pairs)
    places = [F.col("features")[place].alias(f"factor_{place}") for place in range(config.als_rank)]
    found = collect_columns(
        model.itemFactors.select("id", *places),
        ["id", *(f"factor_{place}" for place in range(config.als_rank))],
        "the item factors of ALS",
        run.config.run.driver_bytes,
    )
    factors = np.zeros((n_items, config.als_rank), np.float32)
    factors[found["id"]] = np.stack([found[f"factor_{place}"] for place in range(config.als_rank)], axis=1)
    return FoldedIn(factors, config.als_alpha, config.als_regularisation, _length(run))


def co_occurrences(run: Run, n_items: int) -> Floats:
    """In how many users' train items each two items are together: (n_items, n_items), summed partition by partition.

    O(users x history^2) on the executors; the driver holds the matrix, which `run.driver_bytes` bounds.

    Raises:
        UserError: it does not fit.
    """
    needed = 8 * n_items**2
    if needed > run.config.run.driver_bytes:
        raise UserError(
            f"{n_items:,} items x items would take {needed:,} bytes on the driver, the limit is "
            f"{run.config.run.driver_bytes:,}: leave {ITEM_KNN} and {EASE} out of evaluate.baselines, or raise "
            "run.driver_bytes"
        )
    sums = _train_sequences(run).select(c.ITEMS).mapInArrow(_counter(n_items), "gram binary")
    parts = (np.frombuffer(row["gram"], np.float32).reshape(n_items, -1) for row in sums.toLocalIterator())
    return reduce(np.add, parts, np.zeros((n_items, n_items)))


def _counter(n_items: int) -> Any:
    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from scipy.sparse import csr_matrix

        total: Any = None
        for batch in batches:
            lists = [np.unique(items.values.to_numpy()) for items in batch.column(c.ITEMS)]
            lengths = [len(items) for items in lists]
            rows = np.repeat(np.arange(len(lists)), lengths)
            items = np.concatenate([*lists, np.empty(0, np.int32)])
            took = csr_matrix((np.ones(len(items), np.float32), (rows, items)), shape=(len(lists), n_items))
            total = took.T @ took if total is None else total + took.T @ took
        if total is not None:
            yield pa.RecordBatch.from_pydict({"gram": pa.array([total.toarray().tobytes()], pa.binary())})

    return count


def _train_sequences(run: Run) -> DataFrame:
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate"}
    return run.tables.read_slice("sequences", where)


def _length(run: Run) -> int:
    return run.config.features.sequence_length
