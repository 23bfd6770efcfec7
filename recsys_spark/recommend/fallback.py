"""What is popular, overall and within a segment: the lists of users whom the model does not know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns, collect_rows

_PLACE = "place"


@dataclass(frozen=True)
class Popular:
    """Items by popularity, best first: (item_idx, share of users) overall, and the head of it in each segment.

    Item-sized, plus `segments x most` for the heads.
    """

    overall: npt.NDArray[np.int32]
    shares: npt.NDArray[np.float32]
    by_segment: Mapping[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]


def popular(interactions: DataFrame, features: DataFrame, most: int, limit: int) -> Popular:
    """Popularity over the positive pairs of a date; ties go to the lower item_idx.

    O(pairs), one shuffle by item and one by (segment, item); only items and `segments x most` rows come to the driver.

    Args:
        features: `user_features` of the date's production fit, for each user's segment.
        most: how many items a segment's head has.
        limit: bytes, see `bounded.collect_columns`.
    """
    everyone = with_everyone(interactions, limit)
    return replace(everyone, by_segment=_heads(_positives(interactions), features, most, limit))


def with_everyone(interactions: DataFrame, limit: int) -> Popular:
    """The same without segments. O(pairs), one shuffle by item."""
    by_item = _positives(interactions).groupBy(c.ITEM_IDX).agg(F.count("*").alias(c.USERS))
    everyone = collect_columns(by_item, [c.ITEM_IDX, c.USERS], "the items by popularity", limit)
    return Popular(*_best_first(everyone[c.ITEM_IDX], everyone[c.USERS]), {})


def _positives(interactions: DataFrame) -> DataFrame:
    return interactions.where(F.col(c.POSITIVES) > 0).select(c.USER_IDX, c.ITEM_IDX)


def _heads(positives: DataFrame, features: DataFrame, most: int, limit: int) -> dict[str, Any]:
    segmented = features.where(F.col(c.SEGMENT).isNotNull()).select(c.USER_IDX, c.SEGMENT)
    by_segment = positives.join(segmented, on=c.USER_IDX, how="inner").groupBy(c.SEGMENT, c.ITEM_IDX)
    ranked = Window.partitionBy(c.SEGMENT).orderBy(F.desc(c.USERS), c.ITEM_IDX)
    heads = by_segment.agg(F.count("*").alias(c.USERS)).withColumn(_PLACE, F.row_number().over(ranked))
    heads = heads.where(F.col(_PLACE) <= most).persist()
    rows = collect_rows(heads, "popular items by segment", limit)
    heads.unpersist()
    of_segment: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of_segment[row[c.SEGMENT]].append(row)
    return {
        name: _best_first(*(np.array([row[column] for row in own]) for column in (c.ITEM_IDX, c.USERS)))
        for name, own in of_segment.items()
    }


def _best_first(items: npt.NDArray[Any], users: npt.NDArray[Any]) -> tuple[Any, Any]:
    order = np.lexsort((items, -users))
    most = max(1, int(users.max(initial=1)))
    return items[order].astype(np.int32), (users[order] / most).astype(np.float32)
