"""All figures of a day, and in words what could not be measured."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.explore.groups import kept
from recsys_spark.interactions.split import positive, until
from recsys_spark.monitoring import catalogue
from recsys_spark.monitoring.drift import feature_drift, score_drift
from recsys_spark.monitoring.live import Live, lists_of, shown_to_them
from recsys_spark.monitoring.measures import DRIFT, LISTS, ONLINE, Figure
from recsys_spark.monitoring.online import online
from recsys_spark.monitoring.windows import LATE, NOW, REFERENCE, Windows, counted
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS, ITEM_ATTRIBUTES


@dataclass
class Measured:
    """A day's figures, and by part of the page why some are absent."""

    figures: list[Figure] = field(default_factory=list)
    absent: dict[str, list[str]] = field(default_factory=dict)

    def lacks(self, of: str, why: str) -> None:
        self.absent.setdefault(of, []).append(why)


def measured(run: Run, live: Live | None) -> Measured:
    """The figures of the run's date, for the lists that were live on it.

    Besides the lists it reads events of the day, of the `stale_days` before it and of the reference alone: O(these events +
    lists), in some ten passes over the columns that are needed, shuffles by user, by item and by user and item. The driver gets a
    row for most figures, histograms of some twenty bins, and counts of counts of items.
    """
    day, limit = run.as_of, run.config.run.driver_bytes
    windows = Windows.of(run.config.monitor, day)
    found = Measured()
    with ExitStack() as stack:

        def keep(frame: DataFrame) -> DataFrame:
            return stack.enter_context(kept(frame))

        known = run.tables.read(EVENTS.name).where(until(day))
        needed = known.select(c.USER_ID, c.ITEM_ID, c.EVENT_TIME, c.EVENT_TYPE, c.EVENT_VALUE)
        events = keep(needed.transform(windows.within))
        positives = events.transform(positive(run.config.interactions)).where(c.POSITIVE)
        items = keep(positives.groupBy(c.ITEM_ID).agg(*counted()))
        lists = keep(lists_of(run, live.as_of).transform(shown_to_them(run))) if live else None
        if lists is not None and live is not None:
            _of_lists(run, found, live, lists, positives)
        else:
            for of in (ONLINE, LISTS):
                found.lacks(of, f"No lists were live on {day}: nothing of an earlier date had been published.")
        with_places = keep(_with_places(items, lists))
        found.figures += catalogue.of_items(with_places, run.config.evaluate.head_share, limit)
        found.figures += _of_events(run, known, events)
        _of_features(run, found, windows, events, items)
    return found


def _of_lists(run: Run, found: Measured, live: Live, lists: DataFrame, positives: DataFrame) -> None:
    day, limit = run.as_of, run.config.run.driver_bytes
    acts = online(positives.where(NOW), lists, run.config.monitor.ks)
    found.figures += acts
    if not acts:
        found.lacks(ONLINE, f"Nobody acted on {day}.")
    elif len(acts) == 1:
        found.lacks(ONLINE, f"None of the users who acted on {day} had a list.")
    found.figures.append(Figure("list_age_days", "", float((day - live.as_of).days), 1))
    if live.model_date is not None:
        found.figures.append(Figure("model_age_days", "", float((day - live.model_date).days), 1))
    else:
        found.lacks(LISTS, f"Table `models` does not know {live.model_version}, so its age is not known.")
    if live.earlier is not None:
        found.figures += score_drift(lists, lists_of(run, live.earlier), live.earlier == live.model_date, limit)
    else:
        found.lacks(DRIFT, "There are no earlier lists of the same kind of model to compare scores with.")


def _with_places(items: DataFrame, lists: DataFrame | None) -> DataFrame:
    if lists is None:
        return items.withColumn(catalogue.PLACES, F.lit(0))
    both = items.join(catalogue.places_of(lists), on=c.ITEM_ID, how="full")
    return both.fillna(0, [REFERENCE, LATE, NOW, catalogue.PLACES])


def _of_events(run: Run, known: DataFrame, events: DataFrame) -> list[Figure]:
    """How many there are, of how many users, and how old the newest is."""
    told = F.max(F.unix_timestamp(c.EVENT_TIME))
    row = events.agg(F.count_if(F.col(NOW)), F.count_distinct(F.when(F.col(NOW), F.col(c.USER_ID))), told).head()
    assert row is not None
    number, users, newest = row
    if newest is None:
        last = known.agg(told).head()
        newest = last[0] if last is not None else None
    figures = [Figure("events", "", float(number), number), Figure("users", "", float(users), users)]
    if newest is None:
        return figures
    end = datetime.combine(run.as_of + timedelta(days=1), time(), UTC).timestamp()
    return [*figures, Figure("latency_hours", "", (end - newest) / 3600, number)]


def _of_features(run: Run, found: Measured, windows: Windows, events: DataFrame, items: DataFrame) -> None:
    limit, names = run.config.run.driver_bytes, run.config.monitor.features
    both = events.where(F.col(NOW) | F.col(REFERENCE))
    attributes = run.tables.read_or_empty(ITEM_ATTRIBUTES).select(c.ITEM_ID, c.CATEGORY)
    described = items.join(attributes, on=c.ITEM_ID, how="left")
    users = both.groupBy(c.USER_ID).agg(*counted())
    drifts = list(feature_drift(names, both, described, users, limit))
    found.figures += drifts
    missing = [name for name in names if name not in {figure.part for figure in drifts}]
    if missing:
        span = f"from {windows.reference_from} on"
        found.lacks(DRIFT, f"The day or the reference ({span}) has no event with these: {', '.join(missing)}.")


def by_part(absent: Mapping[str, list[str]]) -> list[str]:
    """Why parts are absent, a line each."""
    return [f"{of}: {why}" for of, reasons in absent.items() for why in reasons]
