"""Where declared features of users and items come from: their attributes, and tables of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    FloatType,
    IntegralType,
    NumericType,
    StringType,
)

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.events.drafts import text_or_none
from recsys_spark.events.fields import require_fields
from recsys_spark.events.source_columns import Shape
from recsys_spark.feature_settings import AnyFeature, Of, VectorFeature
from recsys_spark.schemas import ITEM_ATTRIBUTES, ITEMS, USER_ATTRIBUTES, USERS, Table
from recsys_spark.spark_errors import explained
from recsys_spark.suppression import TOMBSTONE
from recsys_spark.tables import read_outside
from recsys_spark.transform import Transformer

TRAINED: Final = "trained"
ROWS: Final = "rows"

INDEX: Final[dict[str, Table]] = {"user": USERS, "item": ITEMS}
ATTRIBUTES: Final[dict[str, Table]] = {"user": USER_ATTRIBUTES, "item": ITEM_ATTRIBUTES}
ID: Final[dict[str, str]] = {"user": c.USER_ID, "item": c.ITEM_ID}
IDX: Final[dict[str, str]] = {"user": c.USER_IDX, "item": c.ITEM_IDX}

# what events tell: one value for all examples of a fit would tell those of the past what came later
_OF_EVENTS: Final = (c.EVENTS, c.MEAN_VALUE, c.RECENCY_DAYS, c.USERS)
_NO_FEATURES: Final = (c.VALID_FROM, c.RUN_ID)
_KEY: Final = f"{c.ATTRIBUTES}."
_MOST_NAMED: Final = 50  # keys of attributes that an error lists
_DAY: Final = 86_400_000_000  # microseconds


def values(of: Of, declared: Sequence[AnyFeature], attributes: DataFrame, counted: DataFrame) -> Transformer:
    """The index of users or items -> `(idx, id, trained, value_of(name)...)`: a row each, blank texts as null; none for
    users who were forgotten.

    Three joins by id or index, O(entities). `trained` says whether the entity has events in the fit's parts.

    Args:
        counted: `user_features` or `item_features` of the fit: whom it trains on.

    Raises:
        UserError: a source that no table has, one that would tell of later events, or one of a type that the feature's
            kind does not take.
    """
    of_fit = counted.select(IDX[of], F.lit(True).alias(TRAINED))

    def join(index: DataFrame) -> DataFrame:
        people = index.where(~F.col(ID[of]).startswith(TOMBSTONE)) if of == "user" else index
        known = people.select(ID[of], IDX[of]).join(attributes.drop(*_NO_FEATURES), on=ID[of], how="left")
        known = known.join(of_fit, on=IDX[of], how="left")
        chosen = []
        for feature in declared:
            if isinstance(feature, VectorFeature):
                known = known.join(_vectors(feature, known.sparkSession), on=ID[of], how="left")
                chosen += [F.col(value_of(feature.name)), F.col(rows_of(feature.name))]
            else:
                chosen.append(_column(feature, known).alias(value_of(feature.name)))
        return known.select(IDX[of], ID[of], F.coalesce(TRAINED, F.lit(False)).alias(TRAINED), *chosen)

    return join


def shapes_of_vectors(declared: Sequence[AnyFeature], spark: SparkSession) -> dict[str, Shape]:
    """The columns of each table of vectors, see `source_columns.hold`.

    Raises:
        UserError: there is no such table.
    """
    return {
        f"vectors of feature {feature.name}": Shape.of(_table(feature, spark).schema, (ID[feature.of], c.VECTOR))
        for feature in declared
        if isinstance(feature, VectorFeature)
    }


def value_of(name: str) -> str:
    """The column of a feature's values."""
    return f"value_{name}"


def rows_of(name: str) -> str:
    """The column that says how many rows a vector feature's table has of the id."""
    return f"{ROWS}_{name}"


def in_days(micros: Column) -> Column:
    """A span of microseconds, in days."""
    return micros / F.lit(float(_DAY))


def sources_there_are(of: str, attributes: DataFrame) -> list[str]:
    """The sources that have a value for anyone, for a message: one pass over the attributes, at most 50 keys."""
    names = [name for name in _described(of) if name != c.ATTRIBUTES]
    counts = attributes.agg(*[F.count(name).alias(name) for name in names]).head()
    keys = attributes.select(F.explode(F.map_keys(c.ATTRIBUTES)).alias(c.ATTRIBUTES)).distinct().sort(c.ATTRIBUTES)
    named = [_KEY + row[c.ATTRIBUTES] for row in keys.limit(_MOST_NAMED).collect()]
    return [*[name for name in names if counts and counts[name]], *named]


def _described(of: str) -> list[str]:
    return [name for name in ATTRIBUTES[of].schema.names if name not in {ID[of], *_NO_FEATURES}]


def _source(feature: AnyFeature) -> str | None:
    return None if isinstance(feature, VectorFeature) else feature.source


def _column(feature: AnyFeature, known: DataFrame) -> Column:
    assert not isinstance(feature, VectorFeature)
    source = feature.source
    if source.startswith(_KEY):
        return text_or_none(F.col(c.ATTRIBUTES)[source.removeprefix(_KEY)])
    if source in _OF_EVENTS:
        raise UserError(
            f"feature `{feature.name}`: `{source}` is counted up to the end of what the fit trains on, so examples of earlier "
            "days would know of later events; of users, declare it `of: context`, with `recency_days` or `frequency` as its "
            "source, which are as of each event's own time (docs/features.md); of items there is no such source"
        )
    there = [name for name in _described(feature.of) if name != c.ATTRIBUTES]
    if source not in there:
        raise UserError(
            f"feature `{feature.name}`: {ATTRIBUTES[feature.of].name} has no column `{source}`; "
            f"`source` is one of {', '.join(there)}, or {_KEY}KEY"
        )
    kind = known.schema[source].dataType
    _check_type(feature, kind)
    return text_or_none(F.col(source)) if isinstance(kind, StringType) else F.col(source)


def _check_type(feature: AnyFeature, came: DataType) -> None:
    takes: dict[str, tuple[type[DataType], ...]] = {
        "categorical": (StringType, IntegralType),
        "dense": (StringType, NumericType),
    }
    if not isinstance(came, takes.get(feature.kind, (StringType,))):
        raise UserError(
            f"feature `{feature.name}` is {feature.kind}, which `{_source(feature)}` cannot be: it is of type "
            f"{came.simpleString()}; declare it as {'dense' if isinstance(came, NumericType) else 'categorical'}"
        )


def _vectors(feature: VectorFeature, spark: SparkSession) -> DataFrame:
    """`(id, value, rows)`: one row an id, whatever the table has. One shuffle by id."""
    table, key = _table(feature, spark), ID[feature.of]
    require_fields((key, c.VECTOR), table.columns, feature.path)
    kind = table.schema[c.VECTOR].dataType
    if not (isinstance(kind, ArrayType) and isinstance(kind.elementType, FloatType | DoubleType)):
        raise UserError(f"{feature.path}: `{c.VECTOR}` is {kind.simpleString()}, expected array<float>")
    vector = F.first(F.col(c.VECTOR).cast(ArrayType(FloatType())), ignorenulls=True)
    return (
        table.groupBy(F.col(key).cast("string").alias(key))
        .agg(vector.alias(value_of(feature.name)), F.count("*").alias(rows_of(feature.name)))
        .select(key, value_of(feature.name), rows_of(feature.name))
    )


def _table(feature: VectorFeature, spark: SparkSession) -> DataFrame:
    with explained(feature.path):
        return read_outside(spark, feature.path, f"features.declared, feature `{feature.name}`")
