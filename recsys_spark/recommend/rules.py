"""Rules as SQL predicates over attributes, evaluated once over users and once over items: never over pairs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Final

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.errors import UserError

_WORDS: Final = 200  # of what Spark says


def mask_of(predicates: Mapping[str, str], attributes: DataFrame, table: str) -> Column:
    """A bit (long) for each predicate that holds of a row, the first rule's the lowest; null is false. O(rules) a row.

    Args:
        predicates: SQL over the columns of `attributes`, by the rule's name.
        table: what the rows are, for the message.

    Raises:
        UserError: a predicate that Spark cannot parse, that names an unknown column, or that is no condition.
    """
    for name, predicate in predicates.items():
        try:
            attributes.where(F.expr(predicate))
        except PySparkException as error:
            said = " ".join(str(error).split(";")[0].split())[:_WORDS]
            raise UserError(
                f"recommend.filters.rules, rule `{name}`: `{predicate}` is no condition over {table} "
                f"({', '.join(attributes.columns)}): {said}"
            ) from None
    bits = [
        F.when(F.coalesce(F.expr(predicate), F.lit(False)), F.lit(1 << place)).otherwise(F.lit(0)).cast("long")
        for place, predicate in enumerate(predicates.values())
    ]
    return reduce(add, bits, F.lit(0).cast("long"))
