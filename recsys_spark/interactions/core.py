"""The k-core filter: users and items with too few of each other leave, until none is left to leave."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.settings import Interactions
from recsys_spark.transform import Transformer


def k_core(config: Interactions, say: Callable[[str], None] = lambda line: None) -> Transformer:
    """Indexed events with `positive` -> the events of the users and items that survive.

    Counts are of different items a user and different users an item, over positive events. A round is two shuffles of
    the pairs that are left; the fixed point does not depend on the order in which users and items leave.

    Raises:
        UserError: rounds run out, or nothing is left.
    """
    if config.min_user_items == 1 and config.min_item_users == 1:
        return lambda events: events

    def keep(events: DataFrame) -> DataFrame:
        # each round is cut off from the ones before it: a plan that named them all would double with every round
        pairs = events.where(c.POSITIVE).select(c.USER_IDX, c.ITEM_IDX).distinct().localCheckpoint()
        rows = pairs.count()
        for _ in range(config.max_core_rounds):
            fewer = _at_least(_at_least(pairs, c.USER_IDX, config.min_user_items), c.ITEM_IDX, config.min_item_users)
            pairs = fewer.localCheckpoint()
            left = pairs.count()
            say(f"k-core: {left:,} of {rows:,} pairs left")
            if left == rows:
                break
            rows = left
        else:
            raise UserError(
                f"the k-core did not settle in {config.max_core_rounds} rounds: raise interactions.max_core_rounds"
            )
        if rows == 0:
            raise UserError(
                "the k-core leaves nothing: lower interactions.min_user_items or interactions.min_item_users"
            )
        with_users = events.join(pairs.select(c.USER_IDX).distinct(), on=c.USER_IDX, how="left_semi")
        return with_users.join(pairs.select(c.ITEM_IDX).distinct(), on=c.ITEM_IDX, how="left_semi")

    return keep


def _at_least(pairs: DataFrame, key: str, least: int) -> DataFrame:
    enough = pairs.groupBy(key).agg(F.count("*").alias("pairs")).where(F.col("pairs") >= least).select(key)
    return pairs.join(enough, on=key, how="left_semi")
