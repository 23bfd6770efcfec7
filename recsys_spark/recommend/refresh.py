"""Lists of users for whom nothing changed since an earlier night: kept as they are, rather than made again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.interactions.carry import acted, earlier_run, moved_days
from recsys_spark.recommend.publish import is_fallback, live_lists
from recsys_spark.recommend.rerank import steps_of
from recsys_spark.runs import Run
from recsys_spark.schemas import BLOCKED_PAIRS, ITEM_AVAILABILITY, RECOMMENDATIONS
from recsys_spark.tables import SliceKey

_MEANING = ("dataset", "interactions", "recommend")


@dataclass(frozen=True)
class Kept:
    """Rows of `recommendations` that stay, as rows of the run's date, and `user_idx` of whose they are."""

    rows: DataFrame
    users: DataFrame


def kept_lists(run: Run, where: SliceKey, model_version: str, in_context: bool) -> Kept | None:
    """What stays of the last lists of the same model and settings, with `night.refresh: changed`; None: make all anew.

    A list stays if its user has not acted since and nothing in it is fallback. All are made where they hang on more than
    the user's own events: on what is popular, new or available, on blocked pairs, on the context or the date. O(rows).
    """
    if run.config.night.refresh == "all" or in_context or moved_days(run.config) is None or _hangs_on_others(run):
        return None
    earlier = earlier_run(run, RECOMMENDATIONS.name, *_MEANING, where={c.VARIANT: where[c.VARIANT]})
    if earlier is None or not _is_live(run, earlier.as_of):
        return None  # what a gate stopped, or what was put back by hand, is not to come again
    last = run.tables.read(RECOMMENDATIONS.name, {**where, c.AS_OF_DATE: earlier.as_of})
    users = run.tables.read("users").select(c.USER_ID, c.USER_IDX)
    fallback = last.where(is_fallback() | (F.col(c.MODEL_VERSION) != model_version))
    moved = acted(run, earlier).unionByName(
        fallback.select(c.USER_ID).distinct().join(users, on=c.USER_ID, how="inner").select(c.USER_IDX)
    )
    known = last.select(c.USER_ID).distinct().join(users, on=c.USER_ID, how="inner")
    still = known.join(moved, on=c.USER_IDX, how="left_anti").persist()
    rows = last.join(still.select(c.USER_ID), on=c.USER_ID, how="left_semi").withColumn(c.AS_OF_DATE, F.lit(run.as_of))
    run.notes.append(f"lists of users who did not act since {earlier.as_of} are those of that night")
    return Kept(rows, still.select(c.USER_IDX))


def _is_live(run: Run, as_of: date) -> bool:
    first = live_lists(run).select(c.AS_OF_DATE).head()
    return first is not None and first[0] == as_of


def _hangs_on_others(run: Run) -> bool:
    config = run.config.recommend
    filters = config.filters
    by_settings = bool(config.candidates.sources or filters.rules or filters.blocked_categories or config.active_days)
    by_settings |= bool(steps_of(config.rerank))
    return by_settings or any(run.tables.exists(table.name) for table in (ITEM_AVAILABILITY, BLOCKED_PAIRS))
