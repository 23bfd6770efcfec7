"""What makes an event the same event: the source's own key, or else its content and its ordinal among equals.

The hash is over what happened (user, item, time, type, value, context) and never over where it was read, so that two
exports that both hold a row agree on its id, while two equal purchases in one file stay two.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.events.rejection import RejectReason
from recsys_spark.transform import Transformer

IS_NEW: Final = "is_new"

_HASH, _ORDINAL, _HIGHEST = "_hash", "_ordinal", "_highest"
_COPY, _FIRST, _STORED = "_copy", "_first", "_stored"
_HEX_DIGITS = 32


def content_hash() -> Column:
    """128 bits of SHA-256, in hex, over an event's fields as canonical JSON; the same for a stored row and a draft."""
    fields = F.struct(
        c.USER_ID,
        c.ITEM_ID,
        F.unix_micros(c.EVENT_TIME).alias(c.EVENT_TIME),
        c.EVENT_TYPE,
        (F.col(c.EVENT_VALUE) + F.lit(0.0)).alias(c.EVENT_VALUE),  # -0.0 and 0.0 are one value
        F.array_sort(F.map_entries(c.CONTEXT)).alias(c.CONTEXT),
    )
    return F.substring(F.sha2(F.to_json(fields), 256), 1, _HEX_DIGITS)


def identified_by_content(events: DataFrame) -> DataFrame:
    """Good events without ids -> with `event_id`, each id once.

    The n-th of equal rows in a source has the ordinal n; rows of several sources that have hash and ordinal in
    common are one event, kept from the first source. One shuffle, by the hash, and one sort: O(n log n) over the
    batch, whatever is stored.
    """
    in_source = Window.partitionBy(_HASH, c.SOURCE).orderBy(c.EVENT_ORDER)
    before = Window.partitionBy(_HASH).orderBy(c.SOURCE, c.EVENT_ORDER).rowsBetween(Window.unboundedPreceding, -1)
    numbered = (
        events.withColumn(_HASH, content_hash())
        .repartition(_HASH)  # serves both windows, as does the sort by hash, source and order
        .withColumn(_ORDINAL, F.row_number().over(in_source))
        .withColumn(_HIGHEST, F.max(_ORDINAL).over(before))
    )
    # an ordinal that was reached before, in an earlier source, is that source's event again
    kept = numbered.where(F.col(_HIGHEST).isNull() | (F.col(_ORDINAL) > F.col(_HIGHEST)))
    return kept.withColumn(c.EVENT_ID, F.concat_ws("-", _HASH, _ORDINAL)).drop(_HASH, _ORDINAL, _HIGHEST)


def not_stored(stored: DataFrame) -> Transformer:
    """Identified events -> those whose id is not stored yet.

    `stored` must hold every stored event from the batch's first to its last time: an id from content means its time,
    so no other can be the same. O(batch + stored rows in that range).
    """
    return lambda events: events.join(stored.select(c.EVENT_ID), on=c.EVENT_ID, how="left_anti")


def judge_by_key(stored: DataFrame, few: bool = False) -> Transformer:
    """Judged events with their own ids -> the same with `is_new`, and conflicting ones rejected as `duplicate`.

    An id that is stored, or came before in the batch, is no news where its content is the same, and a duplicate where
    it differs. A key may come back at any time, so ids are compared with all that is stored: O(batch + stored).

    Args:
        few: the batch's ids are sent to where the stored events are, so that none of these is shuffled, and only those that
            have such an id are hashed. A task holds all the ids.
    """
    in_order = Window.partitionBy(c.EVENT_ID).orderBy(c.SOURCE, c.EVENT_ORDER)
    is_good = F.col(c.REASON).isNull()
    first_content = F.coalesce(_STORED, _FIRST)
    conflict = is_good & (F.col(_HASH) != first_content)
    detail = F.concat(F.lit("event_id '"), c.EVENT_ID, F.lit("' is taken by an event with other content"))

    def judge(judged: DataFrame) -> DataFrame:
        good = judged.where(is_good).withColumn(_HASH, content_hash())
        ranked = good.withColumn(_COPY, F.row_number().over(in_order)).withColumn(_FIRST, F.first(_HASH).over(in_order))
        of_batch = stored.join(F.broadcast(good.select(c.EVENT_ID)), on=c.EVENT_ID, how="left_semi") if few else stored
        known = of_batch.select(c.EVENT_ID, content_hash().alias(_STORED))
        compared = ranked.join(known, on=c.EVENT_ID, how="left")
        marked = (
            compared.withColumn(IS_NEW, (F.col(_COPY) == 1) & F.col(_STORED).isNull())
            .withColumn(c.REASON, F.when(conflict, F.lit(str(RejectReason.DUPLICATE))))
            .withColumn(c.DETAIL, F.when(F.col(c.REASON).isNotNull(), detail))
        )
        return marked.select(*judged.columns, IS_NEW).unionByName(
            judged.where(~is_good).withColumn(IS_NEW, F.lit(False))
        )

    return judge
