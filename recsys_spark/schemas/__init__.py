"""Every table's schema, key and partitioning, a file a stage.

`TABLES` is the one list, in the order in which the tables come to be: `tables.py` creates from it, and a stage that misses
a table names the job that makes it.
Times are UTC timestamps; dates are the UTC days of a run; money is in the source's own currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recsys_spark.schemas.benchmark import BENCHMARK_CELLS
from recsys_spark.schemas.evaluate import METRICS
from recsys_spark.schemas.events import EVENTS, EVENTS_REJECTED, ITEM_ATTRIBUTES, SOURCE_COLUMNS, USER_ATTRIBUTES
from recsys_spark.schemas.examples import (
    EVAL_EXAMPLES,
    SHOWN_POSITIONS,
    TRAIN_IMPRESSIONS,
    TRAIN_SEQUENCES,
    train_examples,
)
from recsys_spark.schemas.experiments import (
    ASSIGNMENTS,
    EXPERIMENT_RESULTS,
    EXPERIMENT_VERDICTS,
    EXPERIMENTS,
    EXPOSURES,
)
from recsys_spark.schemas.explore import EXPLORATION
from recsys_spark.schemas.features import (
    EVENT_CONTEXTS,
    FEATURE_SPECS,
    ITEM_ENCODED,
    ITEM_FEATURES,
    SEQUENCES,
    USER_ENCODED,
    USER_FEATURES,
)
from recsys_spark.schemas.forget import BROKEN_RUNS, FORGOTTEN, SUPPRESSED
from recsys_spark.schemas.interactions import INTERACTIONS, ITEMS, LABELLED_EVENTS, USERS
from recsys_spark.schemas.leases import LEASES
from recsys_spark.schemas.monitoring import MONITORING
from recsys_spark.schemas.publish import GATE_RESULTS
from recsys_spark.schemas.recommend import (
    BLOCKED_PAIRS,
    CANDIDATES,
    ITEM_AVAILABILITY,
    RECOMMEND_COUNTS,
    RECOMMENDATIONS,
    RECOMMENDATIONS_CURRENT,
    RERANK_EFFECTS,
)
from recsys_spark.schemas.report import TRAINING_REPORT
from recsys_spark.schemas.runs import RUNS
from recsys_spark.schemas.table import Table
from recsys_spark.schemas.training import MODELS
from recsys_spark.schemas.tuning import TUNE_TRIALS

__all__ = [
    "ASSIGNMENTS",
    "BENCHMARK_CELLS",
    "BLOCKED_PAIRS",
    "BROKEN_RUNS",
    "CANDIDATES",
    "EVAL_EXAMPLES",
    "EVENTS",
    "EVENTS_REJECTED",
    "EVENT_CONTEXTS",
    "EXPERIMENTS",
    "EXPERIMENT_RESULTS",
    "EXPERIMENT_VERDICTS",
    "EXPLORATION",
    "EXPOSURES",
    "FEATURE_SPECS",
    "FORGOTTEN",
    "GATE_RESULTS",
    "INTERACTIONS",
    "ITEMS",
    "ITEM_ATTRIBUTES",
    "ITEM_AVAILABILITY",
    "ITEM_ENCODED",
    "ITEM_FEATURES",
    "LABELLED_EVENTS",
    "LEASES",
    "METRICS",
    "MODELS",
    "MONITORING",
    "RECOMMENDATIONS",
    "RECOMMENDATIONS_CURRENT",
    "RECOMMEND_COUNTS",
    "RERANK_EFFECTS",
    "RUNS",
    "SEQUENCES",
    "SHOWN_POSITIONS",
    "SOURCE_COLUMNS",
    "SUPPRESSED",
    "TABLES",
    "TRAINING_REPORT",
    "TRAIN_IMPRESSIONS",
    "TRAIN_SEQUENCES",
    "TUNE_TRIALS",
    "USERS",
    "USER_ATTRIBUTES",
    "USER_ENCODED",
    "USER_FEATURES",
    "Table",
    "train_examples",
]

TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        EVENTS,
        EVENTS_REJECTED,
        USER_ATTRIBUTES,
        ITEM_ATTRIBUTES,
        SOURCE_COLUMNS,
        EXPLORATION,
        USERS,
        ITEMS,
        INTERACTIONS,
        USER_FEATURES,
        ITEM_FEATURES,
        SEQUENCES,
        USER_ENCODED,
        ITEM_ENCODED,
        EVENT_CONTEXTS,
        FEATURE_SPECS,
        train_examples(0),
        TRAIN_SEQUENCES,
        TRAIN_IMPRESSIONS,
        SHOWN_POSITIONS,
        EVAL_EXAMPLES,
        MODELS,
        ITEM_AVAILABILITY,
        BLOCKED_PAIRS,
        CANDIDATES,
        RECOMMENDATIONS,
        RECOMMENDATIONS_CURRENT,
        RECOMMEND_COUNTS,
        RERANK_EFFECTS,
        METRICS,
        TRAINING_REPORT,
        GATE_RESULTS,
        MONITORING,
        TUNE_TRIALS,
        BENCHMARK_CELLS,
        EXPERIMENTS,
        ASSIGNMENTS,
        EXPOSURES,
        EXPERIMENT_RESULTS,
        EXPERIMENT_VERDICTS,
        LEASES,
        SUPPRESSED,
        FORGOTTEN,
        BROKEN_RUNS,
        RUNS,
    )
}
