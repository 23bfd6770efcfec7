"""Text features: hashed TF-IDF, brought to few dimensions by random signs, of length one.

Words are counted in 2^14 hash buckets (Weinberger et al., 2009, "Feature Hashing for Large Scale Multitask Learning")
and weighted by inverse document frequency, learnt from the entities trained on. Then each bucket adds its row of
random signs, drawn by hash: D. Achlioptas (2003), "Database-friendly random projections", which keeps cosines to about
1 / sqrt(width). Unlike a singular value decomposition it needs no pass of its own, and is the same on any cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.ml.feature import IDF, HashingTF, RegexTokenizer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType

from recsys_spark.hashing import hash_of
from recsys_spark.transform import Transformer

Weights = npt.NDArray[np.float64]

_BUCKETS: Final = 1 << 14
_NO_WORD: Final = r"(?U)[^\w]+"  # letters and digits of any script are words
_TOKENS: Final = "_tokens"
_COUNTS: Final = "_counts"


def learn_weights(trained: DataFrame, column: str, min_count: int) -> Weights:
    """log((n + 1) / (df + 1)) of each hash bucket over the n texts; 0 where fewer than `min_count` of them have it.

    One pass, one count a bucket; 2^14 numbers come to the driver.
    """
    texts = trained.where(F.col(column).isNotNull()).transform(_counted(column))
    model = IDF(minDocFreq=min_count, inputCol=_COUNTS).fit(texts)
    return np.asarray(model.idf.toArray(), np.float64)


def projected(column: str, weights: Weights, width: int, seed: int) -> Transformer:
    """Texts -> unit vectors of `width` numbers in the same column; null where a text has no word that was learnt.

    O(words x width), in Python workers.
    """
    project = F.udf(_projection(weights, signs(seed, width)), ArrayType(FloatType()))

    def replace(frame: DataFrame) -> DataFrame:
        return frame.transform(_counted(column)).withColumn(column, project(_COUNTS)).select(*frame.columns)

    return replace


def signs(seed: int, width: int) -> npt.NDArray[np.int8]:
    """`(2^14, width)` of -1 and 1, by hash of (seed, bucket, place)."""
    drawn = hash_of(seed, np.arange(_BUCKETS)[:, None], np.arange(width)[None, :])
    return np.where(drawn >> np.uint64(63), 1, -1).astype(np.int8)


def _counted(column: str) -> Transformer:
    def count(frame: DataFrame) -> DataFrame:
        words = RegexTokenizer(inputCol=column, outputCol=_TOKENS, pattern=_NO_WORD)
        buckets = HashingTF(numFeatures=_BUCKETS, inputCol=_TOKENS, outputCol=_COUNTS)
        texts = frame.withColumn(column, F.coalesce(column, F.lit("")))
        return buckets.transform(words.transform(texts)).drop(_TOKENS)

    return count


def _projection(weights: Weights, directions: npt.NDArray[np.int8]) -> Callable[[Any], list[float] | None]:
    def project(counts: Any) -> list[float] | None:
        vector = (counts.values * weights[counts.indices]) @ directions[counts.indices]
        length = float(np.linalg.norm(vector))
        return (vector / length).tolist() if length else None

    return project
