"""Team-draft interleaving: one list from two rankers, and whose items the user takes (Radlinski, Kurup and Joachims, 2008).

"How does clickthrough data reflect retrieval quality?" Each user compares both rankers at the same moment, so that fewer
users tell which is better than an A/B test needs; by how much the shop earns more, it does not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.stats import binomtest

from recsys_spark import columns as c
from recsys_spark.experiments.assignment import place

TEAM: Final = "team"
_SCHEMA: Final = f"array<struct<{c.ITEM_ID}:string,{TEAM}:string>>"

Picks = list[tuple[str, str]]


@dataclass(frozen=True)
class Preference:
    """How many users took more of the first ranker's items, more of the second's, or as many (none too) of both."""

    first: int
    second: int
    ties: int

    @property
    def p_value(self) -> float:
        """That users prefer either alike: the exact sign test over those who prefer one, two-sided."""
        return (
            float(binomtest(self.first, max(self.first + self.second, 1)).pvalue) if self.first + self.second else 1.0
        )

    @property
    def margin(self) -> float:
        """The share of users that the first wins, ties half, over one half (Chapelle, Joachims, Radlinski and Yue, 2012)."""
        users = self.first + self.second + self.ties
        return (self.first + self.ties / 2) / users - 0.5 if users else 0.0


def team_draft(
    salt: str, teams: tuple[str, str], user_id: str, first: Sequence[str], second: Sequence[str], n: int
) -> Picks:
    """`n` items or fewer, each with the team that picked it: the team with fewer picks is next, a coin decides between equals.

    Coins are places of the user under the salt, so that a list is the same wherever it is made. O(n).

    >>> team_draft("s", ("a", "b"), "1", ["x", "y"], ["x", "z"], 2)
    [('x', 'a'), ('z', 'b')]
    """
    left, picks = (iter(first), iter(second)), [0, 0]
    drafted: dict[str, str] = {}
    while len(drafted) < n:
        coin = place(f"{salt}.{len(drafted)}", user_id) >= 0.5
        on_turn = int(coin if picks[0] == picks[1] else picks[1] < picks[0])
        for team in (on_turn, 1 - on_turn):  # a team whose list is at its end leaves its turn to the other
            item = next((item for item in left[team] if item not in drafted), None)
            if item is not None:
                drafted[item] = teams[team]
                picks[team] += 1
                break
        else:
            break
    return list(drafted.items())


def interleaved(lists: DataFrame, teams: tuple[str, str], n: int, salt: str) -> DataFrame:
    """`(user_id, rank, item_id, team)` of every user who has a list of both variants; keep it beside what is shown.

    One shuffle of the lists by user.

    Args:
        lists: `(variant, user_id, rank, item_id)`, as in `recommendations`.
        teams: two variants of it.
    """
    by_user = lists.where(F.col(c.VARIANT).isin(*teams)).groupBy(c.USER_ID)
    both = by_user.pivot(c.VARIANT, list(teams)).agg(
        F.sort_array(F.collect_list(F.struct(c.RANK, c.ITEM_ID)))[c.ITEM_ID]
    )
    draft = F.udf(partial(_drafted, salt, teams, n), _SCHEMA)
    listed = both.where((F.size(teams[0]) > 0) & (F.size(teams[1]) > 0)).select(
        c.USER_ID, F.posexplode(draft(c.USER_ID, *teams)).alias(c.RANK, "pick")
    )
    return listed.select(c.USER_ID, (F.col(c.RANK) + 1).alias(c.RANK), f"pick.{c.ITEM_ID}", f"pick.{TEAM}")


def preference(shown: DataFrame, taken: DataFrame, teams: tuple[str, str]) -> Preference:
    """Which team's items users took more of. One join by user and item, one shuffle by user; three numbers come back.

    Args:
        shown: `interleaved` lists, as they were shown.
        taken: `(user_id, item_id)` of what users took, a row for each time.
    """
    took = taken.select(c.USER_ID, c.ITEM_ID, F.lit(1).alias("took"))
    rows = shown.join(took, on=[c.USER_ID, c.ITEM_ID], how="left")
    lead = F.sum(
        F.when(F.col(TEAM) == teams[0], F.col("took")).when(F.col(TEAM) == teams[1], -F.col("took")).otherwise(0)
    )
    users = rows.groupBy(c.USER_ID).agg(F.coalesce(lead, F.lit(0)).alias("lead"))
    counted = users.agg(*[F.count(F.when(F.signum("lead") == sign, 1)) for sign in (1, -1, 0)]).head()
    assert counted is not None
    return Preference(*counted)


def _drafted(
    salt: str, teams: tuple[str, str], n: int, user_id: str, first: Sequence[str], second: Sequence[str]
) -> Picks:
    return team_draft(salt, teams, user_id, first, second, n)
