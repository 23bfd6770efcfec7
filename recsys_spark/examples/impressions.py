"""What was shown, where, and whether it was clicked: what models of clicks train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.events.drafts import text_or_none
from recsys_spark.examples.propensities import propensities_of
from recsys_spark.feature_settings import CategoricalFeature
from recsys_spark.features.spec import FIRST_OF_VOCABULARY, MISSING, UNKNOWN
from recsys_spark.features.vocabulary import Vocabulary, vocabularies, words
from recsys_spark.schemas import TRAIN_IMPRESSIONS
from recsys_spark.settings import Fit
from recsys_spark.transform import Transformer, conform

Row = tuple[Any, ...]


def texts(key: str) -> dict[str, Column]:
    """What `interactions.stage.labelled_events` is to carry along: the type of an event, and the position it was shown at."""
    return {c.EVENT_TYPE: F.col(c.EVENT_TYPE), c.SHOWN_AT: text_or_none(F.col(c.CONTEXT)[key])}


def of_types(types: Sequence[str]) -> Transformer:
    """Events -> those of some types; none given: all."""
    return lambda events: events.where(F.col(c.EVENT_TYPE).isin(*types)) if types else events


def positions_learnt(impressions: DataFrame, most: int, limit: int) -> Vocabulary:
    """The code of each position, from 2 by falling count of impressions, then by name; at most `most` of them.

    Args:
        impressions: of the fit's parts alone.
    """
    feature = CategoricalFeature(kind="categorical", name=c.SHOWN_AT, of="item", source=c.CONTEXT, max_size=most)
    named = impressions.select(words(feature, F.col(c.SHOWN_AT)).alias(c.SHOWN_AT))
    return vocabularies(named, [feature], limit)[c.SHOWN_AT]


def train_impressions(as_of: date, fit: Fit, positions: Vocabulary, files: int) -> Transformer:
    """Labelled impressions of the fit's parts -> `schemas.TRAIN_IMPRESSIONS`, one shuffle, evenly into `files`."""
    entries = [F.lit(part) for entry in positions.items() for part in entry]
    known = F.create_map(*entries).cast("map<string,int>")
    code = F.when(F.col(c.SHOWN_AT).isNull(), MISSING).otherwise(F.coalesce(known[F.col(c.SHOWN_AT)], F.lit(UNKNOWN)))

    def to_examples(impressions: DataFrame) -> DataFrame:
        examples = impressions.select(
            F.lit(as_of).alias(c.AS_OF_DATE),
            F.lit(fit).alias(c.FIT),
            c.USER_IDX,
            c.ITEM_IDX,
            F.col(c.POSITIVE).cast("int").alias(c.CLICKED),
            code.alias(c.SHOWN_AT),
        )
        return examples.repartition(files).transform(conform(TRAIN_IMPRESSIONS.schema, TRAIN_IMPRESSIONS.name))

    return to_examples


def shown_positions(
    examples: DataFrame, as_of: date, fit: Fit, positions: Vocabulary, most_items: int, limit: int
) -> list[Row]:
    """One fit's rows of `schemas.SHOWN_POSITIONS`, every code with what was counted there, and its propensity.

    One shuffle by item and code. Propensities are estimated over the `most_items` items that were shown most.
    """
    counted = examples.groupBy(c.ITEM_IDX, c.SHOWN_AT).agg(_times(F.lit(1), c.IMPRESSIONS), _times(c.CLICKED, c.CLICKS))
    counted = counted.persist()
    try:
        by_code = counted.groupBy(c.SHOWN_AT).agg(_times(c.IMPRESSIONS), _times(c.CLICKS))
        sums = {row[c.SHOWN_AT]: row for row in by_code.collect()}  # a row a code
        most_shown = counted.groupBy(c.ITEM_IDX).agg(_times(c.IMPRESSIONS, "all"))
        chosen = most_shown.orderBy(F.desc("all"), c.ITEM_IDX).limit(most_items).select(c.ITEM_IDX)
        counts = collect_columns(
            counted.join(chosen, on=c.ITEM_IDX, how="left_semi").sort(c.ITEM_IDX, c.SHOWN_AT),
            [c.ITEM_IDX, c.SHOWN_AT, c.IMPRESSIONS, c.CLICKS],
            "impressions by item and position (examples.propensity_items)",
            limit,
        )
    finally:
        counted.unpersist()
    codes = len(positions) + FIRST_OF_VOCABULARY
    propensities = propensities_of(*_matrices(counts, codes))
    names = {code: name for name, code in positions.items()}
    return [
        (
            *(as_of, fit, code, names.get(code)),
            *(int(sums[code][name]) if code in sums else 0 for name in (c.IMPRESSIONS, c.CLICKS)),
            None if np.isnan(propensities[code]) else float(propensities[code]),
        )
        for code in range(codes)
    ]


def _matrices(
    counts: Mapping[str, npt.NDArray[Any]], codes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Impressions and clicks by item and position: (items, codes) each."""
    items, rows = np.unique(counts[c.ITEM_IDX], return_inverse=True)
    shown, clicked = np.zeros((len(items), codes)), np.zeros((len(items), codes))
    shown[rows, counts[c.SHOWN_AT]] = counts[c.IMPRESSIONS]
    clicked[rows, counts[c.SHOWN_AT]] = counts[c.CLICKS]
    return shown, clicked


def _times(what: Column | str, name: str | None = None) -> Column:
    return F.sum(what).alias(name or str(what))
