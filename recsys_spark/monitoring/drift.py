"""How far a day's events, and the live lists' scores, have moved from what the model was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_aggregate
from recsys_spark.explore.groups import largest
from recsys_spark.monitoring.measures import Figure
from recsys_spark.monitoring.windows import NOW, REFERENCE
from recsys_spark.publish.gates import stability_index
from recsys_spark.recommend.reasons import POPULAR, POPULAR_SEGMENT

BINS = 10  # of what is a number: the deciles of the reference
MOST_GROUPS = 20  # of what is none: the largest of the reference, and all others as one
_QUANTILES = [place / BINS for place in range(1, BINS)]
_ACCURACY = 0.001  # of quantiles: ranks are off by at most a thousandth of the rows
_KNOWN = "known"
Counts = tuple[list[int], list[int]]  # of the reference and of the day, bin by bin


def feature_drift(
    names: Sequence[str], events: DataFrame, items: DataFrame, users: DataFrame, limit: int
) -> Iterator[Figure]:
    """PSI and Jensen-Shannon divergence of each feature that both the day and the reference have values of.

    A pass over the events of both for each feature of theirs, and over items or users for the others. The driver gets a
    histogram of some twenty bins each.

    Args:
        events: of the day and the reference, see `Windows.within`.
        items: `(item_id, reference, now, category)`, a row an item.
        users: `(user_id, reference, now)`, a row a user.
    """
    found: Mapping[str, DataFrame] = {
        "event_type": _by(events, F.col(c.EVENT_TYPE)),
        "hour": _by(events, F.format_string("%02d", F.hour(c.EVENT_TIME))),
        "category": _sums(items, F.col(c.CATEGORY)),
    }
    for name in names:
        if name == "event_value":
            counts = of_values(events, limit)
        elif name in ("item_popularity", "user_activity"):
            counts = of_counts(items if name == "item_popularity" else users, limit)
        else:
            counts = of_groups(found[name].where(F.col(c.LABEL).isNotNull()), limit)
        yield from divergences("feature", name, counts)


def score_drift(now: DataFrame, earlier: DataFrame, limit: int) -> list[Figure]:
    """The same of scores, over the deciles of the earlier lists', but for places that popularity filled: another unit."""
    lists = now.withColumn(_KNOWN, F.lit(False)).unionByName(earlier.withColumn(_KNOWN, F.lit(True)))
    scores = lists.where(~F.col(c.REASON_CODE).isin(POPULAR, POPULAR_SEGMENT)).select(
        F.col(c.SCORE).cast("double").alias(c.EVENT_VALUE),
        F.col(_KNOWN).alias(REFERENCE),
        (~F.col(_KNOWN)).alias(NOW),
    )
    return divergences("score", "", of_values(scores, limit))


def divergences(of: str, part: str, counts: Counts) -> list[Figure]:
    """PSI and Jensen-Shannon divergence (Lin, 1991) of two histograms over the same bins; none where one is empty."""
    from scipy.spatial.distance import jensenshannon

    reference, now = counts
    moved = stability_index(now, reference)
    if moved is None:
        return []
    apart = float(jensenshannon(reference, now, base=2)) ** 2
    return [Figure(f"{of}_psi", part, moved, sum(now)), Figure(f"{of}_js", part, apart, sum(now))]


def of_groups(rows: DataFrame, limit: int) -> Counts:
    """`(label, reference, now)`, a row a group -> the largest of the reference and the rest."""
    shown = largest(rows, [REFERENCE, NOW], MOST_GROUPS, limit)
    return [int(row[REFERENCE]) for row in shown.values()], [int(row[NOW]) for row in shown.values()]


def of_values(rows: DataFrame, limit: int) -> Counts:
    """`(event_value, reference, now)` -> events by the deciles of the reference; those without a value are no part."""
    edges = rows.where(REFERENCE).approxQuantile(c.EVENT_VALUE, _QUANTILES, _ACCURACY)
    known = rows.where(F.col(c.EVENT_VALUE).isNotNull())
    spans = known.groupBy(_bin(F.col(c.EVENT_VALUE), edges)).agg(
        *[F.count_if(F.col(name)).alias(name) for name in (REFERENCE, NOW)]
    )
    return _in_order(spans, edges, limit)


def of_counts(rows: DataFrame, limit: int) -> Counts:
    """`(reference, now)`, a row an item or user -> events by how many the item or user had in the reference.

    Each bin holds about a tenth of the reference's events; who is new falls into the first.
    """
    quantiles = F.percentile(F.col(REFERENCE), F.array(*map(F.lit, _QUANTILES)), F.col(REFERENCE))
    found = rows.where(F.col(REFERENCE) > 0).agg(quantiles).head()
    edges = list(found[0] or ()) if found is not None else []
    spans = rows.groupBy(_bin(F.col(REFERENCE), edges)).agg(
        F.sum(REFERENCE).alias(f"{REFERENCE}_sum"), F.sum(NOW).alias(f"{NOW}_sum")
    )
    return _in_order(
        spans.select(c.LABEL, F.col(f"{REFERENCE}_sum").alias(REFERENCE), F.col(f"{NOW}_sum").alias(NOW)), edges, limit
    )


def _bin(value: Column, edges: Sequence[float]) -> Column:
    """How many of the different edges lie below a value: an edge is in the bin below it."""
    above = [(value > edge).cast("int") for edge in sorted(set(edges))]
    return sum(above, start=F.lit(0)).alias(c.LABEL)


def _in_order(spans: DataFrame, edges: Sequence[float], limit: int) -> Counts:
    rows = {row[c.LABEL]: row for row in collect_aggregate(spans, "bins", limit)}
    places = range(len(set(edges)) + 1)
    reference, now = ([int(rows[place][name]) if place in rows else 0 for place in places] for name in (REFERENCE, NOW))
    return reference, now


def _by(events: DataFrame, label: Column) -> DataFrame:
    return events.groupBy(label.alias(c.LABEL)).agg(*[F.count_if(F.col(name)).alias(name) for name in (REFERENCE, NOW)])


def _sums(rows: DataFrame, label: Column) -> DataFrame:
    return rows.groupBy(label.alias(c.LABEL)).agg(F.sum(REFERENCE).alias(REFERENCE), F.sum(NOW).alias(NOW))
