"""What a new ranking would have earned, told from the log of one that chose by chance, with the chances recorded.

A row of the log is an item at its place: what it earned (`reward`), the probability with which the old policy put it there
(`propensity`, as in `recommendations`), and with which the new one would (`target`). With w = target / propensity, over the
log's rows,

    ips:            mean of w reward                          (Horvitz and Thompson, 1952)
    snips:          sum of w reward / sum of w                (Swaminathan and Joachims, 2015)
    doubly_robust:  mean of predicted_target + w (reward - predicted)   (Dudík, Langford and Li, 2011)

`predicted` is some model's value of the item that was shown, `predicted_target` its mean over what the new policy would show:
the better the model, the smaller the variance, and however bad it is, the estimate is unbiased. The model must not be learnt
from these very rows. A place is judged given those before it (Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen, 2018,
"Offline evaluation of ranking policies with click models": the item-position model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.experiments.effects import ratio
from recsys_spark.experiments.inference import Fixed
from recsys_spark.experiments.moments import Moments, aggregates

REWARD, TARGET, PREDICTED, PREDICTED_TARGET = "reward", "target", "predicted", "predicted_target"
IPS, SNIPS, DOUBLY_ROBUST, WEIGHT = "ips", "snips", "doubly_robust", "weight"

ESTIMATOR: Final = "estimator"


@dataclass(frozen=True)
class Estimate:
    """Reward a row under the new policy, with its interval, over so many users.

    The estimate called `weight` is of the mean weight: it is 1 where the old policy could have shown all that the new one
    would. Where its interval lies below 1, a part of the new policy was never tried, and ips counts that part as nothing.
    """

    estimator: str
    value: float
    low: float
    high: float
    users: int


def compared(shown: DataFrame, new: DataFrame, rewards: DataFrame, values: DataFrame) -> DataFrame:
    """The log's rows for a new ranking that always shows the same list.

    One join by user and place, one by user and item, two by item.

    Args:
        shown: `(user_id, rank, item_id, propensity)`, the lists that were live.
        new: `(user_id, rank, item_id)`, those that would be.
        rewards: `(user_id, item_id, reward)` of what was shown, which add up; no row is a reward of 0.
        values: `(item_id, value)`, what an item is thought to earn, from earlier days; none is 0.
    """
    place = [c.USER_ID, c.RANK]
    would = new.select(*place, F.col(c.ITEM_ID).alias("would"))
    earned = rewards.groupBy(c.USER_ID, c.ITEM_ID).agg(F.sum(REWARD).alias(REWARD))
    rows = shown.join(would, on=place, how="inner").join(earned, on=[c.USER_ID, c.ITEM_ID], how="left")
    of_shown = values.select(c.ITEM_ID, F.col(c.VALUE).alias(PREDICTED))
    of_new = values.select(F.col(c.ITEM_ID).alias("would"), F.col(c.VALUE).alias(PREDICTED_TARGET))
    told = rows.join(of_shown, on=c.ITEM_ID, how="left").join(of_new, on="would", how="left")
    known = {name: F.coalesce(F.col(name), F.lit(0.0)) for name in (REWARD, PREDICTED, PREDICTED_TARGET)}
    same = (F.col(c.ITEM_ID) == F.col("would")).cast("double")
    return told.withColumns({**known, TARGET: same}).drop("would")


def estimates(logged: DataFrame, alpha: float = 0.05) -> list[Estimate]:
    """All estimators, with intervals that take a user's rows as one draw.

    Args:
        logged: `(user_id, reward, propensity, target)` and, for the doubly robust one, `predicted, predicted_target`.

    Raises:
        UserError: a propensity is not over 0 and at most 1, or is missing; or the log has fewer than two users.
    """
    wrong = logged.where(
        F.col(c.PROPENSITY).isNull() | F.isnan(c.PROPENSITY) | ~((F.col(c.PROPENSITY) > 0) & (F.col(c.PROPENSITY) <= 1))
    )
    if not wrong.isEmpty():
        raise UserError(
            f"{wrong.count():,} rows of the log have no propensity over 0 and at most 1: what was shown with probability 0, or "
            "with an unknown one, tells nothing of another policy; leave those days out"
        )
    found = [estimate(row, alpha) for row in sums(logged).collect()]  # a row an estimator
    if not found or found[0].users < 2:
        raise UserError("the log has fewer than two users: no interval can be had")
    return found


def sums(logged: DataFrame, by: Sequence[str] = ()) -> DataFrame:
    """A row for each estimator (and group of `by`), which `estimate` reads. O(rows), one shuffle by user."""
    weight = F.col(TARGET) / F.col(c.PROPENSITY)
    rows = {"rows": F.lit(1.0), "weights": weight, "earned": weight * F.col(REWARD)}
    parts = {IPS: ("earned", "rows"), SNIPS: ("earned", "weights"), WEIGHT: ("weights", "rows")}
    if PREDICTED in logged.columns:
        rows["corrected"] = F.col(PREDICTED_TARGET) + weight * (F.col(REWARD) - F.col(PREDICTED))
        parts[DOUBLY_ROBUST] = ("corrected", "rows")
    users = logged.groupBy(*by, c.USER_ID).agg(*[F.sum(column).alias(name) for name, column in rows.items()])
    forms = [
        F.struct(
            F.lit(name).alias(ESTIMATOR),
            F.col(y).alias("y"),
            F.col(d).alias("d"),
            F.lit(0.0).alias("x"),
            F.lit(1.0).alias("w"),
        )
        for name, (y, d) in parts.items()
    ]
    each = users.select(*by, F.inline(F.array(*forms)))
    return each.groupBy(*by, ESTIMATOR).agg(*aggregates()).orderBy(*by, ESTIMATOR)


def estimate(row: Row, alpha: float) -> Estimate:
    """A row of `sums` as an estimate with its interval at 1 - alpha."""
    moments = Moments.of_row(row)
    value, variance = ratio(moments)
    half = Fixed(alpha).reach(moments.n) * variance**0.5
    return Estimate(row[ESTIMATOR], value, value - half, value + half, moments.n)
