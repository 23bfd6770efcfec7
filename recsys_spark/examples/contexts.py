"""The contexts of events, brought beside the pairs or users that examples are cut from."""

from __future__ import annotations

from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.transform import Transformer

CONTEXTS: Final = "contexts"


def with_contexts(contexts: DataFrame | None, *keys: str) -> Transformer:
    """Rows -> the same with `contexts`: those of all events of the row's `keys`, in the order of the events.

    Null where there are none. O(events log h), one shuffle by the keys.

    Args:
        contexts: rows of `event_contexts`, or None where no features of the context are declared.
    """
    if contexts is None:
        return lambda rows: rows.withColumn(CONTEXTS, F.lit(None).cast("array<binary>"))
    in_order = F.array_sort(F.collect_list(F.struct(c.POSITION, c.CONTEXT)))[c.CONTEXT]
    by_keys = contexts.groupBy(*keys).agg(in_order.alias(CONTEXTS))
    return lambda rows: rows.join(by_keys, on=list(keys), how="left")
