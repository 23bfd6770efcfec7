"""What the baselines and the segments need of the items: item-sized arrays, on the driver and broadcast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.interactions.index import next_index
from recsys_spark.ranking import Bools, Floats
from recsys_spark.recommend.item_facts import in_head
from recsys_spark.runs import Run
from recsys_spark.tables import SliceKey


@dataclass(frozen=True)
class Catalogue:
    """Every item up to the date, by `item_idx`, as the train part knows it."""

    users_of_item: Floats  # (n_items,) train users that took it: its popularity
    in_head: Bools  # (n_items,) whether it is of the most popular
    n_users: int  # users with a train event

    @property
    def n_items(self) -> int:
        """Items known, those without a train event included."""
        return len(self.users_of_item)

    @property
    def popularity(self) -> Floats:
        """Each item's share of the train users."""
        return self.users_of_item / max(1, self.n_users)

    @property
    def novelty(self) -> Floats:
        """Self-information of each item in bits; an item that nobody took counts as taken by one user."""
        bits: Floats = -np.log2(np.maximum(self.users_of_item, 1.0) / max(1, self.n_users))
        return bits


def catalogue_of(run: Run, known_users: DataFrame) -> Catalogue:
    """The catalogue as of the run's date; `known_users` are the `user_features` of the evaluate fit.

    O(items) on the driver, bounded by `run.driver_bytes`.

    Raises:
        UserError: a table or its slice is missing, or the items do not fit.
    """
    cut: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate"}
    features = run.tables.read_slice("item_features", cut)
    taken = collect_columns(features, [c.ITEM_IDX, c.USERS], "popularity of the items", run.config.run.driver_bytes)
    users_of_item = np.zeros(next_index(run.tables.read("items"), c.ITEM_IDX))
    users_of_item[taken[c.ITEM_IDX]] = taken[c.USERS]
    head = in_head(users_of_item, run.config.evaluate.head_share)
    return Catalogue(users_of_item, head, known_users.where(F.col(c.ITEMS) > 0).count())
