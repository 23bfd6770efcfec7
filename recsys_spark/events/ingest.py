"""Source files -> `events`, `events_rejected`, `user_attributes`, `item_attributes`; the same files again add nothing.

Bad rows are counted before anything is written: over the configured share the job stops and every table stays as it
was. Rows of people on the suppression list are counted and kept nowhere. Files are read twice (once to count lines), judged
rows are kept for the ids, and of what is stored only the batch's own span of time is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.datasets import open_source
from recsys_spark.events.attributes import changed, latest_by_id
from recsys_spark.events.consumed import removed, waiting
from recsys_spark.events.drafts import Source
from recsys_spark.events.event_ids import IS_NEW, identified_by_content, judge_by_key, not_stored
from recsys_spark.events.reading import reading
from recsys_spark.events.rejection import Tally, gate, judge_attributes, judge_events, raw_of_rejected, tally
from recsys_spark.events.source_columns import hold
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS, EVENTS_REJECTED, ITEM_ATTRIBUTES, USER_ATTRIBUTES, Table
from recsys_spark.spark_errors import explained, quiet
from recsys_spark.suppression import IS_SUPPRESSED, Suppression, suppression
from recsys_spark.transform import same_row

Keep = Callable[[DataFrame], DataFrame]

_FEW_IDS = 1_000_000  # of a batch, which each executor may hold


@dataclass(frozen=True)
class Judged:
    """The rows of one input with their reasons, and how many there are."""

    table: Table
    rows: DataFrame
    counts: Tally

    @property
    def good(self) -> DataFrame:
        """The rows without a reason."""
        return self.rows.where(F.col(c.REASON).isNull())


def run(run: Run) -> None:
    """Ingest what `ingest` configures.

    Raises:
        UserError: a source that is missing, empty, damaged or of another format, or too many bad rows in it.
    """
    config = run.config.ingest
    what = config.path or config.format
    kept_out = suppression(run.tables)
    if config.consume and not waiting(config.path):
        run.counts |= {"rows_read": 0, "events_appended": 0}
        run.notes.append(f"no files at {config.path}: nothing to ingest")
        return
    run.say(f"reading {what}")
    with reading(run.spark, config), _kept() as keep:
        with quiet(run.spark), explained(what):
            source = open_source(run.spark, config)
            seen = hold(run, source.shapes)
            events = _judge_events(run, source, keep, kept_out)
            attributes = _judge_attributes(run, source, keep, kept_out)
        for judged in (events, *attributes):
            gate(judged.rows, judged.counts, f"{judged.table.name} from {what}", config)
        run.counts |= _counts(events, *attributes)
        _append_rejected(run, kept_out, events, *attributes)
        for judged in attributes:
            run.counts[judged.table.name] = _upsert(run, judged, events.counts.last_time or 0)
        appended = run.tables.append(EVENTS, _new_events(run, source, events))
    seen.remember(run)
    run.counts["events_appended"] = appended
    run.counts["events_already_there"] = events.counts.accepted - appended
    if config.consume:
        run.counts["files_removed"] = removed(source.events.inputFiles())


def _judge_events(run: Run, source: Source, keep: Keep, kept_out: Suppression | None) -> Judged:
    judge = judge_events(run.config.ingest, datetime.now(UTC), source.keyed)
    rows = _marked(source.events.transform(judge), kept_out)
    if source.keyed:
        rows = keep(rows)
        rows = rows.transform(judge_by_key(_stored(run, EVENTS), few=rows.count() <= _FEW_IDS))
    kept = keep(rows.transform(raw_of_rejected))
    return Judged(EVENTS, kept, tally(kept))


def _judge_attributes(run: Run, source: Source, keep: Keep, kept_out: Suppression | None) -> list[Judged]:
    found = [(ITEM_ATTRIBUTES, source.items), (USER_ATTRIBUTES, source.users)]
    judged = [
        (table, _marked(drafts.transform(judge_attributes(table.key[0])), kept_out))
        for table, drafts in found
        if drafts is not None
    ]
    kept = [(table, keep(rows.transform(raw_of_rejected))) for table, rows in judged]
    return [Judged(table, rows, tally(rows)) for table, rows in kept]


def _marked(judged: DataFrame, kept_out: Suppression | None) -> DataFrame:
    return judged if kept_out is None else kept_out.mark(judged)


def _counts(events: Judged, *attributes: Judged) -> dict[str, int]:
    """Rows of events read, rows of all inputs rejected, by reason, and those of people who are kept out, if any."""
    rejected: Counter[str] = Counter()
    for judged in (events, *attributes):
        rejected.update(judged.counts.rejected)
    suppressed = sum(judged.counts.suppressed for judged in (events, *attributes))
    counts = {"rows_read": events.counts.rows, **{f"rejected_{reason}": n for reason, n in rejected.items()}}
    return counts | ({IS_SUPPRESSED: suppressed} if suppressed else {})


def _append_rejected(run: Run, kept_out: Suppression | None, *inputs: Judged) -> None:
    """Keep the bad rows that are not kept yet, with their reasons; none whose text names someone who is kept out."""
    bad = [judged for judged in inputs if judged.counts.rejected]
    if not bad:
        return
    names = [c.RAW, c.SOURCE, c.LINE, c.REASON, c.DETAIL]
    rows = reduce(
        DataFrame.unionByName,
        [judged.rows.where(F.col(c.REASON) != IS_SUPPRESSED).select(names) for judged in bad],
    )
    if kept_out is not None:
        rows = kept_out.without_named(rows, EVENTS_REJECTED.key)
    stored = _stored(run, EVENTS_REJECTED).alias("stored")
    same = same_row(EVENTS_REJECTED.key, "new", "stored")
    unseen = rows.alias("new").join(stored, on=same, how="left_anti").withColumn(c.RUN_ID, F.lit(run.run_id))
    if not unseen.isEmpty():
        run.tables.append(EVENTS_REJECTED, unseen)


def _upsert(run: Run, judged: Judged, valid_from: int) -> int:
    latest = judged.good.transform(latest_by_id(judged.table, valid_from, run.run_id))
    if not run.tables.exists(judged.table.name):
        return run.tables.append(judged.table, latest)  # a merge into nothing costs a good deal more
    news = latest.transform(changed(judged.table, _stored(run, judged.table)))
    return 0 if news.isEmpty() else run.tables.upsert_latest(judged.table, news, c.VALID_FROM)


def _new_events(run: Run, source: Source, events: Judged) -> DataFrame:
    if source.keyed:
        new = events.rows.where(F.col(IS_NEW))
    else:
        first, last = events.counts.first_time or 0, events.counts.last_time or 0
        in_span = F.col(c.EVENT_TIME).between(F.timestamp_micros(F.lit(first)), F.timestamp_micros(F.lit(last)))
        new = events.good.transform(identified_by_content).transform(not_stored(_stored(run, EVENTS).where(in_span)))
    return new.withColumn(c.RUN_ID, F.lit(run.run_id))


def _stored(run: Run, table: Table) -> DataFrame:
    """What a table holds; nothing where it does not exist yet."""
    if run.tables.exists(table.name):
        return run.tables.read(table.name)
    return run.spark.createDataFrame([], table.schema)


@contextmanager
def _kept() -> Iterator[Keep]:
    """Frames computed once however often they are read, and let go at the end: a plan of the same files that were
    changed since would otherwise find the old rows."""
    with ExitStack() as stack:

        def keep(frame: DataFrame) -> DataFrame:
            stack.callback(frame.unpersist)
            return frame.persist()

        yield keep
