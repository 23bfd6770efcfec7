"""Which lists people saw on a day: those that were live, however often lists were made, stopped or put back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.runs import Run
from recsys_spark.schemas import ASSIGNMENTS, GATE_RESULTS, MODELS, RECOMMENDATIONS, RECOMMENDATIONS_CURRENT, RUNS
from recsys_spark.transform import Transformer

_LISTS = "lists"  # the layer of experiments whose variants are those of the lists
_DEFAULT = "default"
_WROTE = "wrote"


@dataclass(frozen=True)
class Live:
    """The lists that were live on a day: of which date, by which model, and what they are held against.

    `model_date` is that of the model, `earlier` the lists that scores are compared with; None: not known.
    """

    as_of: date
    model_version: str
    model_date: date | None
    earlier: date | None


def live_on(run: Run, day: date) -> Live | None:
    """What was live throughout a day, of the run's variant; None where nothing had been published. O(nights), a row each.

    Scores are compared with the lists of the model's own date, where they are of that very model and not the live ones, else
    with those that were live before.
    """
    if not all(run.tables.exists(name) for name in (RUNS.name, GATE_RESULTS.name, RECOMMENDATIONS.name)):
        return None
    log = published(run)
    place = live_place(log, day)
    if place is None:
        return None
    first = lists_of(run, log[place]).select(c.MODEL_VERSION).head()
    if first is None:
        return None  # retention has removed them
    version = str(first[0])
    models = run.tables.read_or_empty(MODELS)
    model = models.where(F.col(c.MODEL_VERSION) == version).select(c.AS_OF_DATE).head()
    trained = model[0] if model is not None else None
    before = [one for one in log[:place] if one != log[place]]
    candidates = [one for one in (trained, before[-1] if before else None) if one is not None and one != log[place]]
    earlier = next((one for one in candidates if _is_of_kind(run, one, version)), None)
    return Live(log[place], version, trained, earlier)


def published(run: Run) -> list[date]:
    """The dates whose lists went live, in the order in which they did, by the versions of the live table: clocks may jump."""
    wrote = F.col("versions_written")[RECOMMENDATIONS_CURRENT.name].alias(_WROTE)
    moved = F.col("stage").isin("publish", "rollback") & (F.col("status") == "done")
    runs = run.tables.read(RUNS.name).where(moved).select(c.RUN_ID, c.AS_OF_DATE, wrote)
    own = run.tables.read(GATE_RESULTS.name).where(F.col(c.VARIANT) == run.config.recommend.variant)
    rows = runs.join(own.select(c.RUN_ID).distinct(), on=c.RUN_ID, how="left_semi").orderBy(_WROTE)
    return [row[c.AS_OF_DATE] for row in collect_rows(rows, "publications", run.config.run.driver_bytes)]


def live_place(log: Iterable[date], day: date) -> int | None:
    """Where in the log of publications the lists stand that were live on a day.

    Lists of a date are made when it is over and are live from the next day on, so it is the last publication before the first
    one of the day itself or a later one. What was put back counts until the next publication; days that were played or made
    up for long afterwards are told like any other.

    >>> first, second, third = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
    >>> live_place([first, second, first, third], third)  # the second was taken back
    2
    >>> live_place([first], first) is None
    True
    """
    found = None
    for place, as_of in enumerate(log):
        if as_of >= day:
            break
        found = place
    return found


def lists_of(run: Run, as_of: date) -> DataFrame:
    """The lists of a date and of the run's variant."""
    return run.tables.read(RECOMMENDATIONS.name, {c.AS_OF_DATE: as_of, c.VARIANT: run.config.recommend.variant})


def shown_to_them(run: Run) -> Transformer:
    """Lists -> those of users who are shown this variant, by the assignments of experiments made before the day."""

    def keep(lists: DataFrame) -> DataFrame:
        if not run.tables.exists(ASSIGNMENTS.name):
            return lists
        variant = run.config.recommend.variant
        in_force = (F.col(c.LAYER) == _LISTS) & (F.col("assigned_on") < F.lit(run.as_of))
        assigned = run.tables.read(ASSIGNMENTS.name).where(in_force)
        ours = F.col(c.VARIANT) == variant
        if variant == _DEFAULT:
            return lists.join(assigned.where(~ours).select(c.USER_ID), on=c.USER_ID, how="left_anti")
        return lists.join(assigned.where(ours).select(c.USER_ID), on=c.USER_ID, how="left_semi")

    return keep


def _is_of_kind(run: Run, as_of: date, version: str) -> bool:
    """Whether the lists of a date are there, by a model of the same name: scores of others have another unit."""
    first = lists_of(run, as_of).select(c.MODEL_VERSION).head()
    return first is not None and str(first[0]).partition("-")[0] == version.partition("-")[0]
