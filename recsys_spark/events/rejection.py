"""Good rows and bad: a bad one is never dropped in silence, but kept with its reason, counted, gated by share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import partial
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.events.drafts import TIME_TEXT, VALUE_TEXT
from recsys_spark.events.fields import FAULT
from recsys_spark.settings import Ingest
from recsys_spark.suppression import IS_SUPPRESSED
from recsys_spark.transform import Transformer

_VERDICT: Final = "_verdict"
_SAMPLES, _SAMPLE_LENGTH = 3, 160


class RejectReason(StrEnum):
    """Why a row was rejected; where several apply, the first."""

    MALFORMED = "malformed"
    MISSING_EVENT_ID = "missing_event_id"
    MISSING_USER_ID = "missing_user_id"
    MISSING_ITEM_ID = "missing_item_id"
    BAD_TIME = "bad_time"
    TIME_IN_FUTURE = "time_in_future"
    BAD_VALUE = "bad_value"
    VALUE_OUT_OF_RANGE = "value_out_of_range"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Rule:
    """A reason, when it applies, and what to say of the row."""

    reason: RejectReason
    applies: Column
    detail: Column


@dataclass(frozen=True)
class Tally:
    """One input's rows: how many, how many rejected for what, the times of the good ones (microseconds), and how many are
    of people who are kept out, which are neither."""

    rows: int
    rejected: Mapping[str, int]
    first_time: int | None = None
    last_time: int | None = None
    suppressed: int = 0

    @property
    def accepted(self) -> int:
        """How many are good."""
        return self.rows - self.suppressed - sum(self.rejected.values())


def judge_events(config: Ingest, now: datetime, keyed: bool) -> Transformer:
    """Drafts of events -> the same with `reason` and `detail`, both null for a good row.

    Args:
        now: events after it lie in the future, unless `ingest.latest` says otherwise.
        keyed: events bring their own `event_id`.
    """
    moment, value = F.col(c.EVENT_TIME), F.col(c.EVENT_VALUE)
    earliest = datetime.combine(config.earliest, time(), UTC)
    latest = datetime.combine(config.latest, time(), UTC) + timedelta(days=1) if config.latest else now
    time_fault = partial(_said, "time", F.coalesce(F.col(TIME_TEXT), F.lit("")))
    value_fault = partial(_said, "value", F.col(VALUE_TEXT))
    no_number = value.isNull() | F.isnan(value) | (F.abs(value) == float("inf"))
    rules = [
        *_attribute_rules(*([c.EVENT_ID] if keyed else []), c.USER_ID, c.ITEM_ID),
        Rule(
            RejectReason.BAD_TIME,
            moment.isNull() | (moment < F.lit(earliest)),
            time_fault(f"a time from {config.earliest} on"),
        ),
        Rule(
            RejectReason.TIME_IN_FUTURE,
            moment > F.lit(latest),
            time_fault(f"one up to {latest:%Y-%m-%d %H:%M} UTC"),
        ),
        Rule(RejectReason.BAD_VALUE, F.col(VALUE_TEXT).isNotNull() & no_number, value_fault("a number")),
    ]
    if config.value_min is not None:
        low = value_fault(f"at least {config.value_min}")
        rules.append(Rule(RejectReason.VALUE_OUT_OF_RANGE, value < config.value_min, low))
    if config.value_max is not None:
        high = value_fault(f"at most {config.value_max}")
        rules.append(Rule(RejectReason.VALUE_OUT_OF_RANGE, value > config.value_max, high))
    return lambda drafts: drafts.transform(_judged(rules)).drop(TIME_TEXT, VALUE_TEXT)


def judge_attributes(id_column: str) -> Transformer:
    """Drafts of attributes -> the same with `reason` and `detail`, both null for a good row."""
    return _judged(_attribute_rules(id_column))


def raw_of_rejected(judged: DataFrame) -> DataFrame:
    """The same without the raw text of good rows, which nobody needs any more."""
    return judged.withColumn(c.RAW, F.when(F.col(c.REASON).isNotNull(), F.col(c.RAW)))


def tally(judged: DataFrame) -> Tally:
    """Count judged rows by reason: one pass, and as many rows to the driver as there are reasons."""
    times = F.unix_micros(c.EVENT_TIME) if c.EVENT_TIME in judged.columns else F.lit(None).cast("long")
    counted = judged.groupBy(c.REASON).agg(
        F.count(F.lit(1)).alias("rows"), F.min(times).alias("first"), F.max(times).alias("last")
    )
    by_reason = {row[c.REASON]: row for row in counted.collect()}
    rows = sum(row["rows"] for row in by_reason.values())
    good, suppressed = by_reason.get(None), by_reason.pop(IS_SUPPRESSED, None)
    return Tally(
        rows=rows,
        rejected={reason: row["rows"] for reason, row in sorted(by_reason.items(), key=str) if reason},
        first_time=good["first"] if good else None,
        last_time=good["last"] if good else None,
        suppressed=suppressed["rows"] if suppressed else 0,
    )


def gate(judged: DataFrame, counts: Tally, what: str, config: Ingest) -> None:
    """Stop the job before it writes anything if there is nothing to read, or too much of it is bad.

    Raises:
        UserError: no rows at all, or a larger share rejected than is allowed; with counts and some of the rows.
    """
    if not counts.rows:
        raise UserError(f"{what}: no rows; expected at least one beside any header")
    bad = sum(counts.rejected.values())
    if bad <= config.max_rejected_share * counts.rows:
        return
    samples = judged.where(F.col(c.REASON) != IS_SUPPRESSED).orderBy(c.SOURCE, c.LINE).limit(_SAMPLES)
    shown = samples.select(c.SOURCE, c.LINE, c.REASON, c.DETAIL, F.substring(c.RAW, 1, _SAMPLE_LENGTH).alias(c.RAW))
    raise UserError(
        f"{what}: {bad:,} of {counts.rows:,} rows rejected ({bad / counts.rows:.1%}), more than "
        f"ingest.max_rejected_share={config.max_rejected_share} allows; nothing was written\n"
        + "".join(f"  {reason}: {count:,}\n" for reason, count in counts.rejected.items())
        + "".join(
            f"  {row[c.SOURCE]}:{row[c.LINE] or '?'}: {row[c.REASON]}: {row[c.DETAIL]}: {row[c.RAW]!r}\n"
            for row in shown.collect()
        )
        + "Check ingest.format and its settings against the file, or raise ingest.max_rejected_share"
    )


def _judged(rules: Sequence[Rule]) -> Transformer:
    # the first rule that applies decides, hence one coalesce over all of them
    verdict = F.coalesce(
        *[
            F.when(rule.applies, F.struct(F.lit(str(rule.reason)).alias(c.REASON), rule.detail.alias(c.DETAIL)))
            for rule in rules
        ]
    )
    return lambda drafts: drafts.withColumn(_VERDICT, verdict).select(
        *[name for name in drafts.columns if name != FAULT],
        f"{_VERDICT}.{c.REASON}",
        f"{_VERDICT}.{c.DETAIL}",
    )


def _attribute_rules(*id_columns: str) -> list[Rule]:
    missing = {
        c.EVENT_ID: RejectReason.MISSING_EVENT_ID,
        c.USER_ID: RejectReason.MISSING_USER_ID,
        c.ITEM_ID: RejectReason.MISSING_ITEM_ID,
    }
    return [
        Rule(RejectReason.MALFORMED, F.col(FAULT).isNotNull(), F.col(FAULT)),
        *[Rule(missing[name], F.col(name).isNull(), F.lit(f"{name} is blank")) for name in id_columns],
    ]


def _said(what: str, text: Column, expected: str) -> Column:
    return F.concat(F.lit(f"{what} '"), text, F.lit(f"', expected {expected}"))
