"""How far a day's events have moved from those of the days before, and the live lists' scores from earlier ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_aggregate
from recsys_spark.monitoring.measures import Figure
from recsys_spark.monitoring.windows import NOW, REFERENCE
from recsys_spark.publish.gates import stability_index
from recsys_spark.recommend.publish import is_fallback

_QUANTILES: Final = [place / 10 for place in range(1, 10)]  # of what is a number: the deciles of the reference
_MOST_GROUPS: Final = 20  # of what is none: the largest of the reference ...
_LEAST_SHARE: Final = (
    0.02  # ... that have so much of it, and all others as one: a few events more in a small group are no drift
)
_ACCURACY: Final = 0.001  # of quantiles of values: ranks are off by at most a thousandth of the rows
_KNOWN: Final = "known"
OWN, OTHER = "its_model", "the_model_before"  # whose scores those of the live lists are held against

Counts = tuple[list[int], list[int]]  # of the reference and of the day, bin by bin


def feature_drift(
    names: Sequence[str], events: DataFrame, items: DataFrame, users: DataFrame, limit: int
) -> Iterator[Figure]:
    """PSI and Jensen-Shannon divergence of each feature that both the day and the reference have values of.

    Values are told apart by the deciles of the reference. So are items and users by how many events they had in it, so that
    each bin holds about a tenth of its events; who is new falls into the first. Two passes over each of the three frames. The
    driver gets a row for each bin, type, hour and category.

    Args:
        events: of the day and the reference, see `Windows.within`.
        items: `(item_id, reference, now, category)`, a row an item.
        users: `(user_id, reference, now)`, a row a user.
    """
    of_events = {
        "event_type": F.col(c.EVENT_TYPE),
        "hour": F.hour(c.EVENT_TIME),
        "event_value": _bin(F.col(c.EVENT_VALUE), _edges_of_values(events) if "event_value" in names else []),
    }
    of_items = {
        "category": F.col(c.CATEGORY),
        "item_popularity": _bin(F.col(REFERENCE), _edges_of_counts(items) if "item_popularity" in names else []),
    }
    of_users = {"user_activity": _bin(F.col(REFERENCE), _edges_of_counts(users) if "user_activity" in names else [])}
    found: dict[str, Counts] = {}
    for rows, labels in ((events, of_events), (items, of_items), (users, of_users)):
        found |= histograms(rows, {name: label for name, label in labels.items() if name in names}, limit)
    for name in names:
        yield from divergences("feature", name, found.get(name, ([], [])))


def score_drift(now: DataFrame, earlier: DataFrame, by_same_model: bool, limit: int) -> list[Figure]:
    """The same of scores, by the deciles of the earlier lists', but for places that popularity filled: another unit.

    Scores of one model hardly move, those of a newly trained one do: the two have histories apart.
    """
    lists = now.withColumn(_KNOWN, F.lit(False)).unionByName(earlier.withColumn(_KNOWN, F.lit(True)))
    scores = lists.where(~is_fallback()).select(
        F.col(c.SCORE).cast("double").alias(c.EVENT_VALUE),
        F.col(_KNOWN).alias(REFERENCE),
        (~F.col(_KNOWN)).alias(NOW),
    )
    label = _bin(F.col(c.EVENT_VALUE), _edges_of_values(scores))
    return divergences(
        "score", OWN if by_same_model else OTHER, histograms(scores, {c.SCORE: label}, limit).get(c.SCORE, ([], []))
    )


def divergences(of: str, part: str, counts: Counts) -> list[Figure]:
    """PSI and Jensen-Shannon divergence (Lin, 1991) of two histograms over the same bins; none where one is empty."""
    from scipy.spatial.distance import jensenshannon

    reference, now = counts
    moved = stability_index(now, reference)
    if moved is None:
        return []
    apart = float(jensenshannon(reference, now, base=2)) ** 2
    return [Figure(f"{of}_psi", part, moved, sum(now)), Figure(f"{of}_js", part, apart, sum(now))]


def histograms(rows: DataFrame, labels: Mapping[str, Column], limit: int) -> dict[str, Counts]:
    """`(reference, now)`, counts or booleans, by each label -> the largest groups of the reference and the rest. One pass.

    What has no label counts nowhere.
    """
    if not labels:
        return {}
    each = [
        F.struct(F.lit(name).alias(c.FEATURE), label.cast("string").alias(c.LABEL)) for name, label in labels.items()
    ]
    told = rows.select(F.inline(F.array(*each)), *[F.col(name).cast("long") for name in (REFERENCE, NOW)])
    groups = told.where(F.col(c.LABEL).isNotNull()).groupBy(c.FEATURE, c.LABEL)
    sums = groups.agg(F.sum(REFERENCE).alias(REFERENCE), F.sum(NOW).alias(NOW))
    by_name: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for row in collect_aggregate(sums.where(F.col(REFERENCE) + F.col(NOW) > 0), "groups of features", limit):
        by_name[row[c.FEATURE]][row[c.LABEL]] = (row[REFERENCE], row[NOW])
    return {name: grouped(counts) for name, counts in by_name.items()}


def grouped(counts: Mapping[str, tuple[int, int]]) -> Counts:
    """Counts of the reference and of the day by group -> the largest of the reference, and the others as one."""
    total = sum(reference for reference, _ in counts.values())
    in_order = sorted(counts.items(), key=lambda group: (-group[1][0], group[0]))
    large = [both for _, both in in_order[:_MOST_GROUPS] if both[0] >= _LEAST_SHARE * total]
    small = [both for _, both in in_order[len(large) :]]
    bins = [*large, (sum(one for one, _ in small), sum(other for _, other in small))] if small else large
    return [one for one, _ in bins], [other for _, other in bins]


def _edges_of_values(rows: DataFrame) -> list[float]:
    return list(rows.where(REFERENCE).approxQuantile(c.EVENT_VALUE, _QUANTILES, _ACCURACY))


def _edges_of_counts(rows: DataFrame) -> list[float]:
    weighted = F.percentile(F.col(REFERENCE), F.array(*map(F.lit, _QUANTILES)), F.col(REFERENCE))
    found = rows.where(F.col(REFERENCE) > 0).agg(weighted).head()
    return list(found[0] or ()) if found is not None else []


def _bin(value: Column, edges: Sequence[float]) -> Column:
    """How many of the different edges lie below a value, null for null: an edge is in the bin below it."""
    above = F.lit(0)
    for edge in sorted(set(edges)):
        above = above + (value > edge).cast("int")
    return F.when(value.isNotNull(), above)
