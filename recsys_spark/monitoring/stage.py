"""The monitor stage: a day's events and the lists that were live on it -> `monitoring`, a page, and exit code 3 on a breach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import BreachError
from recsys_spark.monitoring.judging import History, Judged, Past, judge
from recsys_spark.monitoring.live import live_on
from recsys_spark.monitoring.measured import by_part, measured
from recsys_spark.monitoring.measures import MEASURES
from recsys_spark.monitoring.page import Report, name_of, page
from recsys_spark.runs import Run
from recsys_spark.schemas import MONITORING
from recsys_spark.tables import SliceKey

_BOUND = "bound"


def run(run: Run) -> None:
    """Measure the day, hold it against the days before it, keep both, draw them.

    The day's slice of the variant is replaced, so that it can be run again; a past day is judged by the days before it alone.
    O(events of the window + lists), see `measured`; what comes of earlier days is some dozen rows a day.

    Raises:
        BreachError: figures are out of their bounds; the table and the page say which.
    """
    live = live_on(run, run.as_of)
    found = measured(run, live)
    history = _history(run)
    judged = judge(found.figures, history, run.as_of, run.config.monitor)
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.VARIANT: run.config.recommend.variant}
    run.counts["figures"] = run.tables.replace(MONITORING, _rows(run, judged), where)
    made = page(Report(run.config, run.as_of, live, judged, history, found.absent))
    folder = storage.join(run.reports, "reports", "monitoring", str(run.as_of))
    path = storage.join(folder, f"{run.config.recommend.variant}.html")
    storage.save_file(path, made.html().encode())
    run.notes += [f"not measured. {line}" for line in by_part(found.absent)]
    unbounded = sum(one.bounds.low is one.bounds.high is None for one in judged)
    if unbounded:
        run.notes.append(
            f"{unbounded} figures have fewer than {run.config.monitor.least_days} days of history, and no bounds"
        )
    run.notes.append(f"the page: {path}")
    _raise_on_breach(run, judged, path)


def _raise_on_breach(run: Run, judged: Sequence[Judged], path: str) -> None:
    out = [one for one in judged if one.since is not None]
    run.counts |= {"breaches": len(out), "new_breaches": sum(one.is_new for one in out)}
    if out:
        words = "; ".join(_in_words(one) for one in out)
        raise BreachError(
            f"{len(out)} figures of {run.as_of} are out of the bounds that their history gives: {words}. See {path} and "
            "docs/monitoring.md"
        )


def _in_words(one: Judged) -> str:
    word = "below" if one.bound == one.bounds.low else "above"
    return f"{name_of(one.figure)} is {one.figure.value:.4g}, {word} {one.bound:.4g}, since {one.since}"


def _history(run: Run) -> History:
    """The values of the days before, by metric and part; the days that bounds or sparklines look at alone."""
    first = run.as_of - timedelta(days=run.config.monitor.history_days)
    day, own = F.col(c.AS_OF_DATE), F.col(c.VARIANT) == run.config.recommend.variant
    rows = run.tables.read_or_empty(MONITORING).where(own & (day >= F.lit(first)) & (day < F.lit(run.as_of)))
    broken = F.when(F.col(c.BREACHED), F.when(F.col(c.VALUE) < F.col(c.LOW), F.col(c.LOW)).otherwise(F.col(c.HIGH)))
    told = (c.AS_OF_DATE, c.VALUE, c.SINCE, broken.alias(_BOUND))
    known = rows.select(c.METRIC, c.PART, *told).orderBy(c.AS_OF_DATE)
    history: dict[tuple[str, str], list[Past]] = defaultdict(list)
    for row in collect_rows(known, "earlier days", run.config.run.driver_bytes):
        if row[c.METRIC] in MEASURES:
            history[row[c.METRIC], row[c.PART]].append(Past(*row[2:]))
    return history


def _rows(run: Run, judged: Sequence[Judged]) -> DataFrame:
    rows = [
        (
            run.as_of,
            run.config.recommend.variant,
            *one.figure,
            one.bounds.low,
            one.bounds.high,
            one.bounds.method,
            one.bounds.days,
            one.since is not None,
            one.since,
            run.run_id,
        )
        for one in judged
    ]
    return run.spark.createDataFrame(rows, MONITORING.schema)
