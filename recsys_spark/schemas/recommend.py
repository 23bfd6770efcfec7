"""Tables of the lists, those of every date and the published ones, and of what re-ranking does to them."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import ArrayType, FloatType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, INT, LONG, RUN, STRING, Table, column

_RECOMMENDATION_COLUMNS = [
    AS_OF,
    column(c.VARIANT, STRING, "experiment variant; 'default' where there is none"),
    column(c.USER_ID, STRING, "for whom"),
    column(c.RANK, INT, "place in the list, from 1, without gaps"),
    column(c.ITEM_ID, STRING, "what"),
    column(c.SCORE, FloatType(), "the model's score: comparable within one list only"),
    column(c.REASON_CODE, STRING, "model, repeat, popular_segment or popular"),
    column(c.REASON_ITEM_ID, STRING, "the item that the reason speaks of, if any"),
    column(c.SOURCES, ArrayType(STRING), "the candidate sources that proposed it"),
    column(c.PROPENSITY, DOUBLE, "probability with which the policy showed it; 1 where nothing was drawn"),
    column(c.MODEL_VERSION, STRING, "the model that scored it, see models"),
    RUN,
]

RECOMMENDATIONS: Final = Table(
    "recommendations",
    "recommend",
    StructType(_RECOMMENDATION_COLUMNS),
    key=(c.AS_OF_DATE, c.VARIANT, c.USER_ID, c.RANK),
    partitioned_by=(c.AS_OF_DATE,),
    fenced=True,
)

RECOMMENDATIONS_CURRENT: Final = Table(
    "recommendations_current",
    "publish",
    StructType(_RECOMMENDATION_COLUMNS),
    key=(c.VARIANT, c.USER_ID, c.RANK),
    fenced=True,
)

RERANK_EFFECTS: Final = Table(
    "rerank_effects",
    "recommend",
    StructType(
        [
            AS_OF,
            column(c.VARIANT, STRING, "experiment variant, as of recommendations"),
            column(c.STEP, STRING, "scores: the model's alone; else the last step of those that made the lists"),
            column(c.POSITION, INT, "of the step, from 0: each comes on top of those before it"),
            column(c.METRIC, STRING, "ndcg, diversity, category_diversity, coverage, gini or exposure"),
            column(c.SEGMENT, STRING, "all; for exposure, the group of items"),
            column(c.K, INT, "length of the lists"),
            column(c.VALUE, DOUBLE, "the figure"),
            column(c.N, LONG, "users it is taken over"),
            column(c.MODEL_VERSION, STRING, "the evaluate fit whose lists they are"),
            RUN,
        ]
    ),
    key=(c.AS_OF_DATE, c.VARIANT, c.STEP, c.METRIC, c.SEGMENT),
    partitioned_by=(c.AS_OF_DATE,),
)
