"""What the gates are held against, measured over a date's lists, the live ones, `metrics` and `events`."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.interactions.split import until
from recsys_spark.publish.gates import stability_index
from recsys_spark.publish_settings import GateName
from recsys_spark.recommend.publish import live_lists
from recsys_spark.recommend.reasons import POPULAR, POPULAR_SEGMENT
from recsys_spark.runs import Run
from recsys_spark.schemas import METRICS
from recsys_spark.tables import SliceKey

_BINS = 10
_QUANTILES = [place / _BINS for place in range(1, _BINS)]
_ROWS, _FULL, _COMMON = "rows", "full", "common"


def figures(run: Run, where: SliceKey, model_version: str) -> dict[GateName, float | None]:
    """Every figure that can be had. A few passes over both nights' lists and a join by (user, item): O(rows)."""
    written = run.tables.read("recommendations", where)
    live = live_lists(run)
    live_model = live.select(c.MODEL_VERSION).head()
    own, before = _lift(run, model_version), _lift(run, live_model[0]) if live_model else None
    return {
        **_of_lists(run, written),
        **_against(written, live),
        "over_popularity": own,
        "lift_ratio": own / before if own is not None and before else None,
        "event_age_days": _event_age(run),
    }


def _of_lists(run: Run, written: DataFrame) -> dict[GateName, float | None]:
    lists = written.groupBy(c.USER_ID).agg(F.count("*").alias(_ROWS))
    full = lists.agg(F.avg((F.col(_ROWS) == run.config.recommend.n).cast("double"))).head()
    fallback = F.avg(F.col(c.REASON_CODE).isin(POPULAR, POPULAR_SEGMENT).cast("double"))
    rows = written.agg(fallback, F.countDistinct(c.ITEM_ID)).head()
    known = run.tables.read("interactions", {c.AS_OF_DATE: run.as_of}).agg(F.countDistinct(c.ITEM_IDX)).head()
    assert full is not None
    assert rows is not None
    assert known is not None
    return {"full_lists": full[0], "fallback": rows[0], "coverage": rows[1] / known[0] if known[0] else None}


def _against(written: DataFrame, live: DataFrame) -> dict[GateName, float | None]:
    """How tonight's lists stand to those that are live; nothing is known where none are."""
    if live.isEmpty():
        return {"users_ratio": None, "overlap": None, "score_drift": None}
    users = [frame.select(c.USER_ID).distinct() for frame in (written, live)]
    now, before = (frame.count() for frame in users)
    both = users[0].join(users[1], on=c.USER_ID, how="left_semi")
    of_both = written.join(both, on=c.USER_ID, how="left_semi").select(c.USER_ID, c.ITEM_ID)
    stood = live.select(c.USER_ID, c.ITEM_ID, F.lit(1).alias(_COMMON))
    found = of_both.join(stood, on=[c.USER_ID, c.ITEM_ID], how="left").agg(F.avg(F.coalesce(_COMMON, F.lit(0)))).head()
    assert found is not None
    return {"users_ratio": now / before, "overlap": found[0], "score_drift": _score_drift(written, live)}


def _score_drift(written: DataFrame, live: DataFrame) -> float | None:
    """The stability index over the deciles of the live scores, where both are of one model."""
    names = {frame.select(F.regexp_extract(c.MODEL_VERSION, "^[^-]+", 0)).head()[0] for frame in (written, live)}  # type: ignore[index]
    if len(names) > 1:
        return None  # scores of two models have no common unit
    edges = sorted(set(live.approxQuantile(c.SCORE, _QUANTILES, 0.001)))
    return stability_index(*(_histogram(frame, edges) for frame in (written, live)))


def _histogram(frame: DataFrame, edges: list[float]) -> list[int]:
    above = F.array(*[F.lit(edge) for edge in edges])
    place = F.size(F.filter(above, lambda edge: edge < F.col(c.SCORE).cast("double")))
    counted = {row[0]: row[1] for row in frame.groupBy(place).count().collect()}  # at most ten rows
    return [counted.get(number, 0) for number in range(len(edges) + 1)]


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
