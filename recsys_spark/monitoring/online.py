"""What people did with their lists: hit rate, NDCG and the share of events that the lists had foreseen."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.monitoring.measures import Figure

_TIMES, _LISTED, _RELEVANT = "times", "listed", "relevant"
_USERS, _ON_LIST, _HIT, _NDCG = "users", "on_list", "hit_rate", "ndcg"


def online(acted: DataFrame, lists: DataFrame, ks: Sequence[int]) -> list[Figure]:
    """The figures of a day; none where nobody acted, of those over users with a list none where nobody had one.

    Of a user the relevant items are the R different ones acted on that day. Hit rate at k is 1 where one of them is among the
    list's first k; NDCG at k is the sum over these of 1 / log2(1 + rank), by that of an ideal list, whose first min(R, k)
    places are relevant (Jaervelin and Kekaelaeinen, 2002). A list shorter than k has nothing in its last places.

    O(events of the day + lists of the day): a shuffle of the day's pairs and of the lists by user and item, one of the pairs
    by user. A row comes to the driver.

    Args:
        acted: the day's positive events, `user_id` and `item_id`.
        lists: what was live: `user_id`, `item_id`, `rank`.
    """
    pairs = acted.groupBy(c.USER_ID, c.ITEM_ID).agg(F.count("*").alias(_TIMES))
    with_list = lists.groupBy(c.USER_ID).agg(F.lit(True).alias(_LISTED))
    placed = pairs.join(with_list, on=c.USER_ID, how="left").join(
        lists.select(c.USER_ID, c.ITEM_ID, c.RANK), on=[c.USER_ID, c.ITEM_ID], how="left"
    )
    by_user = placed.groupBy(c.USER_ID).agg(
        F.first(_LISTED).alias(_LISTED),
        F.count("*").alias(_RELEVANT),
        F.sum(_TIMES).alias(_TIMES),
        F.sum(F.when(F.col(c.RANK).isNotNull(), F.col(_TIMES)).otherwise(0)).alias(_ON_LIST),
        *[F.max(F.coalesce((F.col(c.RANK) <= k).cast("double"), F.lit(0.0))).alias(f"{_HIT}{k}") for k in ks],
        *[
            F.sum(F.when(F.col(c.RANK) <= k, 1 / F.log2(1 + F.col(c.RANK))).otherwise(0.0)).alias(f"{_NDCG}{k}")
            for k in ks
        ],
    )
    listed = F.col(_LISTED).isNotNull()
    found = by_user.agg(
        F.count("*").alias(_USERS),
        F.count(_LISTED).alias(_LISTED),
        F.sum(F.when(listed, F.col(_TIMES))).alias(_TIMES),
        F.sum(F.when(listed, F.col(_ON_LIST))).alias(_ON_LIST),
        *[F.avg(F.when(listed, F.col(f"{_HIT}{k}"))).alias(f"{_HIT}{k}") for k in ks],
        *[F.avg(F.when(listed, F.col(f"{_NDCG}{k}") / _ideal(k))).alias(f"{_NDCG}{k}") for k in ks],
    ).head()
    assert found is not None
    if not found[_USERS]:
        return []
    served = Figure("users_with_list", "", found[_LISTED] / found[_USERS], found[_USERS])
    if not found[_LISTED]:
        return [served]
    of_users = [Figure(name, str(k), found[f"{name}{k}"], found[_LISTED]) for name in (_HIT, _NDCG) for k in ks]
    return [*of_users, served, Figure("on_list_share", "", found[_ON_LIST] / found[_TIMES], found[_TIMES])]


def _ideal(k: int) -> Column:
    """The discounted gain of a list whose first min(R, k) places are relevant."""
    places = F.sequence(F.lit(1), F.least(F.col(_RELEVANT).cast("int"), F.lit(k)))
    return F.aggregate(places, F.lit(0.0), lambda total, place: total + 1 / F.log2(1 + place))
