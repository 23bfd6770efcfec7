"""What is learnt of declared features from the entities of a fit: vocabularies, means, weights of words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.feature_settings import (
    AnyFeature,
    CategoricalFeature,
    DenseFeature,
    MultiHotFeature,
    TextFeature,
    VectorFeature,
)
from recsys_spark.features.numbers import number
from recsys_spark.features.sources import ID, TRAINED, rows_of, sources_there_are, value_of
from recsys_spark.features.spec import FIRST_OF_VOCABULARY, FeatureSpec
from recsys_spark.features.text import Weights, learn_weights
from recsys_spark.features.vocabulary import Vocabulary, by_code, vocabularies, words

_EVERYONE = "_everyone"  # no feature's name begins so


@dataclass(frozen=True)
class Learnt:
    """A declared feature, where it lies in the encoded table, and what a fit knows of it.

    Counts are of entities: `learnt_from` those trained on that have a value, `missing` those of the index that have
    none, `cut` those with more values than slots.
    """

    feature: AnyFeature
    spec: FeatureSpec
    learnt_from: int
    missing: int
    cut: int
    mean: float | None
    std: float | None
    vocabulary: Vocabulary | None
    weights: Weights | None


def learn(values: DataFrame, declared: Sequence[AnyFeature], attributes: DataFrame | None, limit: int) -> list[Learnt]:
    """Learn features of users, of items or of the context, from the rows of `sources.values` that are `trained`.

    One pass for counts and means, one for all vocabularies, one a text feature: O(entities). What comes to the driver is
    the vocabularies, within `limit` bytes, and a number a hash bucket of each text feature.

    Args:
        attributes: what `values` was made from, to say what there is where a source has nothing; None of the context.

    Raises:
        UserError: nobody trained on has a usable value, or a table of vectors is not as declared.
    """
    summary = values.agg(F.count(F.when(F.col(TRAINED), 1)).alias(_EVERYONE), *map(_summary, declared)).head()
    assert summary is not None
    for feature in declared:
        _check_vectors(feature, summary[feature.name])
        if not summary[feature.name].learnt_from:
            raise UserError(_nothing_learnt(feature, summary, attributes))
    trained = values.where(TRAINED)
    coded = [feature for feature in declared if isinstance(feature, CategoricalFeature | MultiHotFeature)]
    vocabulary = vocabularies(trained.select(*[usable(feature).alias(feature.name) for feature in coded]), coded, limit)
    weights = {
        feature.name: learn_weights(trained, value_of(feature.name), feature.min_count)
        for feature in declared
        if isinstance(feature, TextFeature)
    }
    specs = laid_out(declared, vocabulary)
    return [
        Learnt(
            feature,
            spec,
            learnt_from=summary[spec.name].learnt_from,
            missing=summary[spec.name].missing,
            cut=summary[spec.name].cut,
            mean=summary[spec.name].mean,
            std=summary[spec.name].std,
            vocabulary=vocabulary.get(spec.name),
            weights=weights.get(spec.name),
        )
        for feature, spec in zip(declared, specs, strict=True)
    ]


def read_back(feature: AnyFeature, row: Mapping[str, Any]) -> Learnt:
    """What was learnt of a feature, from its row of `feature_specs`: all that encoding needs, and counts of 0.

    Args:
        row: by column name; the weights of words may be left out where the feature is no text.
    """
    vocabulary, weights = row[c.VOCABULARY], row.get(c.IDF)
    return Learnt(
        feature,
        FeatureSpec(feature.name, feature.of, feature.kind, row[c.FIRST], row[c.LENGTH], row[c.SIZE]),
        learnt_from=0,
        missing=0,
        cut=0,
        mean=row[c.MEAN],
        std=row[c.STD],
        vocabulary=None if vocabulary is None else by_code(vocabulary),
        weights=None if weights is None else np.array(weights),
    )


def usable(feature: AnyFeature) -> Column:
    """A feature's value as it is encoded: `words`, a finite number, a text or a vector; else null."""
    value = F.col(value_of(feature.name))
    match feature:
        case CategoricalFeature() | MultiHotFeature():
            return words(feature, value)
        case DenseFeature():
            return number(value, feature.log)
        case _:
            return value


def laid_out(declared: Sequence[AnyFeature], vocabulary: Mapping[str, Vocabulary]) -> Iterator[FeatureSpec]:
    """Where each feature of one table lies, in the order of their declaration."""
    codes, numbers = 0, 0
    for feature in declared:
        match feature:
            case CategoricalFeature() | MultiHotFeature():
                size = len(vocabulary[feature.name]) + FIRST_OF_VOCABULARY
                yield FeatureSpec(feature.name, feature.of, feature.kind, codes, length_of(feature), size)
                codes += length_of(feature)
            case _:
                yield FeatureSpec(feature.name, feature.of, feature.kind, numbers, length_of(feature), None)
                numbers += length_of(feature)


def length_of(feature: AnyFeature) -> int:
    """How many slots of codes, or places of numbers, a feature takes."""
    match feature:
        case MultiHotFeature():
            return feature.slots
        case CategoricalFeature() | DenseFeature():
            return 1
        case _:
            return feature.width


def _summary(feature: AnyFeature) -> Column:
    """The aggregates of a feature over all entities, those trained on among them, as one struct."""
    value, used = F.col(value_of(feature.name)), usable(feature)
    # a dense value that is no number is there, but of no use
    missing = value.isNull() if isinstance(feature, DenseFeature) else used.isNull()
    of_trained = F.when(F.col(TRAINED), used)
    aggregates = {
        "missing": F.count(F.when(missing, 1)),
        "given": F.count(F.when(F.col(TRAINED) & ~missing, 1)),
        "learnt_from": F.count(of_trained),
        "cut": F.lit(0),
        "mean": F.lit(None).cast("double"),
        "std": F.lit(None).cast("double"),
    }
    match feature:
        case DenseFeature():
            aggregates |= {"mean": F.avg(of_trained), "std": F.stddev_pop(of_trained)}
        case MultiHotFeature():
            aggregates |= {"cut": F.count(F.when(F.size(used) > feature.slots, 1))}
        case VectorFeature():
            of_id = F.struct(F.col(ID[feature.of]).alias("id"), F.size(value).alias("length"))
            aggregates |= {
                "wrong": F.min(F.when(value.isNotNull() & (F.size(value) != feature.width), of_id)),
                "repeated": F.min(F.when(F.col(rows_of(feature.name)) > 1, F.col(ID[feature.of]))),
            }
    return F.struct(*[aggregate.alias(name) for name, aggregate in aggregates.items()]).alias(feature.name)


def _check_vectors(feature: AnyFeature, summary: Row) -> None:
    if not isinstance(feature, VectorFeature):
        return
    where = f"feature `{feature.name}`: {feature.path}"
    if summary.repeated is not None:
        raise UserError(f"{where} has several rows of {ID[feature.of]} {summary.repeated!r}, expected one at most")
    if summary.wrong is not None:
        raise UserError(
            f"{where}: the vector of {ID[feature.of]} {summary.wrong.id!r} has {summary.wrong.length} numbers, "
            f"expected width {feature.width}; mend the table or the declared width"
        )


def _nothing_learnt(feature: AnyFeature, summary: Row, attributes: DataFrame | None) -> str:
    whom = "events" if feature.of == "context" else f"{feature.of}s"
    among = f"the {summary[_EVERYONE]:,} {whom} that the fit trains on"
    if isinstance(feature, VectorFeature):
        return f"feature `{feature.name}`: {feature.path} has a vector of none of {among}"
    start = f"feature `{feature.name}`: `{feature.source}` has"
    given = summary[feature.name].given
    if given:
        return f"{start} {given:,} values among {among}, but no number that can be used; declare it as categorical"
    if feature.of == "context" or attributes is None:
        return f"{start} no value for any of {among}; see the keys of column `context` in table `events`"
    return f"{start} no value for any of {among}; there is {', '.join(sources_there_are(feature.of, attributes))}"
