"""Tables of candidates, of every date's lists, the published ones and what re-ranking did, and what a shop tells of items."""

from __future__ import annotations

from typing import Final

from pyspark.sql.types import ArrayType, FloatType, StructType

from recsys_spark import columns as c
from recsys_spark.schemas.table import AS_OF, DOUBLE, INT, LONG, RUN, STRING, TIME, USER_IDX, Table, column

_VARIANT = column(c.VARIANT, STRING, "experiment variant; 'default' where there is none")

ITEM_AVAILABILITY: Final = Table(
    "item_availability",
    "the shop",
    StructType(
        [
            column(c.ITEM_ID, STRING, "what; an item without a row is always available"),
            column(c.AVAILABLE_FROM, TIME, "the first moment of a span; null: ever since"),
            column(c.AVAILABLE_TO, TIME, "the moment it ends, at which it is no more; null: open"),
        ]
    ),
    key=(c.ITEM_ID, c.AVAILABLE_FROM),
)

BLOCKED_PAIRS: Final = Table(
    "blocked_pairs",
    "the shop",
    StructType([column(c.USER_ID, STRING, "who"), column(c.ITEM_ID, STRING, "must never be shown this")]),
    key=(c.USER_ID, c.ITEM_ID),
)

CANDIDATES: Final = Table(
    "candidates",
    "recommend",
    StructType(
        [
            AS_OF,
            _VARIANT,
            USER_IDX,
            column(
                c.ITEMS,
                ArrayType(INT),
                "item_idx of each candidate once: by source as configured, then by its rank there",
            ),
            column(
                c.SOURCES,
                ArrayType(INT),
                "for each, which sources proposed it, as a sum: 1 model, 2 retriever, 4 co_occurrence, 8 recent_popular, "
                "16 new_items, 32 repeat",
            ),
            column(c.BECAUSE, ArrayType(INT), "for each, the user's item that co_occurrence has it from, -1 for none"),
        ]
    ),
    key=(c.AS_OF_DATE, c.VARIANT, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE,),
)

_RECOMMENDATION_COLUMNS = [
    AS_OF,
    _VARIANT,
    column(c.USER_ID, STRING, "for whom"),
    column(c.RANK, INT, "place in the list, from 1, without gaps"),
    column(c.ITEM_ID, STRING, "what"),
    column(c.SCORE, FloatType(), "the model's score, comparable within one list only; calibrated, a probability"),
    column(
        c.REASON_CODE,
        STRING,
        "the first of the sources as configured: model, retriever, co_occurrence, recent_popular, new_items, repeat; "
        "popular_segment or popular where none filled the place",
    ),
    column(
        c.REASON_ITEM_ID,
        STRING,
        "co_occurrence: what the user had that it goes with; repeat: the item itself; else null",
    ),
    column(
        c.SOURCES,
        ArrayType(STRING),
        "the candidate sources that proposed it; with popular, it is fallback: none did, or none that goes by what the user "
        "had, for a user whom the model does not know",
    ),
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

RECOMMEND_COUNTS: Final = Table(
    "recommend_counts",
    "recommend",
    StructType(
        [
            AS_OF,
            _VARIANT,
            column(
                c.STAGE,
                STRING,
                "catalogue: what each filter bars of all pairs of a user and an item; retrieval: the recall of an approximate "
                "index; candidates; filters: what each took of the items that sources other than models came upon; scoring; "
                "reranking",
            ),
            column(
                c.STEP,
                STRING,
                "of candidates the source, then joined, what several propose once; of scoring model, or unknown, for users "
                "whom it does not know; of reranking pool, all its steps; of retrieval recall; of others the filter",
            ),
            column(c.POSITION, INT, "of the step, from 0"),
            column(c.USERS, LONG, "users with such rows"),
            column(
                c.ROWS_IN,
                LONG,
                "items that the step came upon, for each user until it had enough, or the catalogue that a model searched; "
                "retrieval: what exact search proposes",
            ),
            column(c.ROWS_OUT, LONG, "items of these that went on; of a filter, with it alone; retrieval: those found"),
            column(c.REMOVED, LONG, "the difference; what two filters bar counts for both"),
            RUN,
        ]
    ),
    key=(c.AS_OF_DATE, c.VARIANT, c.STAGE, c.STEP),
    partitioned_by=(c.AS_OF_DATE,),
)

RERANK_EFFECTS: Final = Table(
    "rerank_effects",
    "recommend",
    StructType(
        [
            AS_OF,
            column(c.VARIANT, STRING, "experiment variant, as of recommendations"),
            column(
                c.STEP,
                STRING,
                "scores: the model's alone; else the last step of those that made the lists, on validation. Position bias has "
                "none: it is taken out in training, and lists are scored without a position. night: the model's best n of "
                "the date's own lists; published: these lists as they are written, filled places too",
            ),
            column(
                c.POSITION,
                INT,
                "of the step, from 0: each comes on top of those before it; night and published are last",
            ),
            column(
                c.METRIC,
                STRING,
                "ndcg, diversity, category_diversity, coverage, gini or exposure; of the night exposure",
            ),
            column(c.SEGMENT, STRING, "all; for exposure, the group of items"),
            column(c.K, INT, "length of the lists"),
            column(c.VALUE, DOUBLE, "the figure"),
            column(c.N, LONG, "users it is taken over"),
            column(
                c.MODEL_VERSION,
                STRING,
                "the fit whose lists they are: an evaluate fit, or of the night the production fit",
            ),
            RUN,
        ]
    ),
    key=(c.AS_OF_DATE, c.VARIANT, c.STEP, c.METRIC, c.SEGMENT),
    partitioned_by=(c.AS_OF_DATE,),
)
