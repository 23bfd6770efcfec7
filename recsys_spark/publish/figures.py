"""What the gates are held against, measured over a date's lists, the live ones, `metrics` and `events`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.interactions.split import until
from recsys_spark.publish.gates import stability_index
from recsys_spark.publish_settings import GateName
from recsys_spark.recommend.publish import is_fallback, live_lists
from recsys_spark.runs import Run
from recsys_spark.schemas import METRICS
from recsys_spark.tables import SliceKey

_BINS = 10
_QUANTILES = [place / _BINS for place in range(1, _BINS)]
_NOW, _BEFORE, _FALLBACK, _ITEMS, _BIN = "now", "before", "fallback", "items", "bin"


def figures(run: Run, where: SliceKey, model_version: str) -> dict[GateName, float | None]:
    """Every figure that can be had. O(rows): two passes over the date's lists, three over the live ones, a join by user."""
    written = run.tables.read("recommendations", where)
    live = live_lists(run)
    live_model = live.select(c.MODEL_VERSION).head()
    own, before = _lift(run, model_version), _lift(run, live_model[0]) if live_model else None
    # scores of two models have no common unit
    alike = live_model is not None and _name(live_model[0]) == _name(model_version)
    return {
        **_of_users(run, written, live),
        **_of_rows(run, written, live if alike else None),
        "over_popularity": own,
        "lift_ratio": own / before if own is not None and before else None,
        "event_age_days": _event_age(run),
    }


def _of_users(run: Run, written: DataFrame, live: DataFrame) -> dict[GateName, float | None]:
    """Whether lists are full, and how they stand to those that are live, of which nothing is known where none are."""
    now, before = (
        rows.groupBy(c.USER_ID).agg(F.collect_set(c.ITEM_ID).alias(name))
        for rows, name in ((written, _NOW), (live, _BEFORE))
    )
    full = F.when(F.col(_NOW).isNotNull(), (F.size(_NOW) == run.config.recommend.n).cast("double"))
    rows, rows_before = (F.sum(F.when(F.col(name).isNotNull(), F.size(name))) for name in (_NOW, _BEFORE))
    common = F.size(F.array_intersect(_NOW, _BEFORE)) / F.size(_NOW)
    stood = F.when(F.col(_NOW).isNotNull() & F.col(_BEFORE).isNotNull(), common)
    found = (
        now.join(before, on=c.USER_ID, how="full")
        .agg(F.count(_NOW), F.count(_BEFORE), rows, rows_before, F.avg(full), F.avg(stood))
        .head()
    )
    assert found is not None
    users, users_before, listed, listed_before, full_lists, overlap = found
    return {
        "users_ratio": users / users_before if users_before else None,
        "rows_ratio": (listed or 0) / listed_before if listed_before else None,
        "full_lists": full_lists,
        "overlap": overlap,
    }


def _of_rows(run: Run, written: DataFrame, live: DataFrame | None) -> dict[GateName, float | None]:
    """Where rows come from, how much of the catalogue they cover, and how far their scores have moved from live ones."""
    edges = [] if live is None else sorted(set(live.approxQuantile(c.SCORE, _QUANTILES, 0.001)))
    fallback = F.avg(is_fallback().cast("double")).alias(_FALLBACK)
    found = written.agg(fallback, F.countDistinct(c.ITEM_ID).alias(_ITEMS), *_histogram(edges)).head()
    known = run.tables.read("interactions", {c.AS_OF_DATE: run.as_of}).agg(F.countDistinct(c.ITEM_IDX)).head()
    assert found is not None
    assert known is not None
    drift = None
    if live is not None:
        before = live.agg(*_histogram(edges)).head()
        assert before is not None
        bins = [f"{_BIN}{place}" for place in range(len(edges) + 1)]
        drift = stability_index(*([row[name] for name in bins] for row in (found, before)))
    return {
        "fallback": found[_FALLBACK],
        "coverage": found[_ITEMS] / known[0] if known[0] else None,
        "score_drift": drift,
    }


def _histogram(edges: Sequence[float]) -> Iterator[Column]:
    """How many scores lie in each bin, its upper edge in it."""
    score = F.col(c.SCORE).cast("double")
    for place, (above, upto) in enumerate(pairwise([-math.inf, *edges, math.inf])):
        yield F.count_if((score > above) & (score <= upto)).alias(f"{_BIN}{place}")


def _name(model_version: str) -> str:
    return model_version.partition("-")[0]


def _lift(run: Run, model_version: str) -> float | None:
    """NDCG@k over the catalogue of the evaluate fit that vouches for a model, as a multiple of popularity's that date.

    On test where that was measured, else on validation; k is the greatest measured up to `publish.quality_k`.
    """
    if not run.tables.exists(METRICS.name):
        return None
    model = run.tables.read("models").where(F.col(c.MODEL_VERSION) == model_version).head()
    if model is None or model["evaluated_by"] is None:
        return None
    ours = run.tables.read("models").where(F.col(c.MODEL_VERSION) == model["evaluated_by"]).head()
    if ours is None:
        return None
    wanted = (F.col(c.METRIC) == "ndcg") & (F.col(c.PROTOCOL) == "full") & (F.col(c.SEGMENT) == "all")
    wanted &= F.col(c.MODEL_VERSION).isin(ours[c.MODEL_VERSION], "popularity")
    wanted &= F.col(c.K) <= run.config.publish.quality_k
    rows = run.tables.read(METRICS.name, {c.AS_OF_DATE: ours[c.AS_OF_DATE]}).where(wanted)
    measured = collect_rows(rows, "quality figures", run.config.run.driver_bytes)
    return lift([row.asDict() for row in measured], ours[c.MODEL_VERSION])


def lift(rows: list[Mapping[str, object]], model_version: str) -> float | None:
    """NDCG of a model as a multiple of popularity's, from rows of `metrics` of one date, at the greatest k of both."""
    for split in ("test", "validation"):
        by_k = {(row[c.MODEL_VERSION], row[c.K]): float(str(row[c.VALUE])) for row in rows if row[c.SPLIT] == split}
        ks = [k for version, k in by_k if version == model_version and by_k.get(("popularity", k))]
        if ks:
            k = max(ks, key=lambda each: int(str(each)))
            return by_k[model_version, k] / by_k["popularity", k]
    return None


def _event_age(run: Run) -> float | None:
    """Not known where the date is that of the newest event: then it would be nought, however old that is."""
    if not run.options.get("dated", True):
        return None
    newest = run.tables.read("events").where(until(run.as_of)).agg(F.max(F.to_date(c.EVENT_TIME))).head()
    assert newest is not None
    return float((run.as_of - newest[0]).days) if newest[0] is not None else None
