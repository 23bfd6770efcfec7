"""Every table's schema, key and partitioning, in the order in which the tables come to be.

`TABLES` is the one list: `tables.py` creates from it, and a stage that misses a table names the job that makes it.
Times are UTC timestamps; dates are the UTC days of a run; money is in the source's own currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from recsys_spark import columns as c

_STRING, _INT, _LONG, _DOUBLE = StringType(), IntegerType(), LongType(), DoubleType()
_TIME, _DATE, _MAP = TimestampType(), DateType(), MapType(StringType(), StringType())


@dataclass(frozen=True)
class Table:
    """One Delta table: its columns, the job that makes it, its key, and the columns that name a slice of it."""

    name: str
    made_by: str
    schema: StructType
    key: tuple[str, ...]
    partitioned_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


def _column(name: str, kind: DataType, comment: str, nullable: bool = True) -> StructField:
    return StructField(name, kind, nullable, {"comment": comment})


_AS_OF = _column(c.AS_OF_DATE, _DATE, "the last day (UTC) whose events count")
_FIT = _column(c.FIT, _STRING, "evaluate: the train part alone; refit: train and validation; production: all")
_USER_IDX = _column(c.USER_IDX, _INT, "dense index of the user, see users")
_ITEM_IDX = _column(c.ITEM_IDX, _INT, "dense index of the item, see items")
# tables whose files ranks read themselves
_FED: Final = {"delta.enableDeletionVectors": "false", "delta.columnMapping.mode": "none"}
_RUN = _column(c.RUN_ID, _STRING, "the run that wrote the row, see runs")

EVENTS: Final = Table(
    "events",
    "ingest",
    StructType(
        [
            _column(c.EVENT_ID, _STRING, "the source's own key, or a hash of the row and its ordinal among equals"),
            _column(c.USER_ID, _STRING, "who acted"),
            _column(c.ITEM_ID, _STRING, "on what"),
            _column(c.EVENT_TIME, _TIME, "when, UTC; for files without times the line's order, in seconds from 1970"),
            _column(c.EVENT_TYPE, _STRING, "rating, purchase, view, ..."),
            _column(c.EVENT_VALUE, _DOUBLE, "rating, quantity or spend; null where the source has none"),
            _column(c.EVENT_ORDER, _LONG, "line or row number in the source: decides between equal times"),
            _column(c.CONTEXT, _MAP, "what else was known: store, device, position, ..."),
            _column(c.SOURCE, _STRING, "the file or table it came from"),
            _RUN,
        ]
    ),
    key=(c.EVENT_ID,),
)

EVENTS_REJECTED: Final = Table(
    "events_rejected",
    "ingest",
    StructType(
        [
            _column(c.RAW, _STRING, "the row as it came"),
            _column(c.SOURCE, _STRING, "the file or table it came from"),
            _column(c.LINE, _LONG, "its line, from 1, where the format has lines"),
            _column(c.REASON, _STRING, "why: see RejectReason"),
            _column(c.DETAIL, _STRING, "the value at fault and what was expected"),
            _RUN,
        ]
    ),
    key=(c.SOURCE, c.LINE, c.RAW),
)

USER_ATTRIBUTES: Final = Table(
    "user_attributes",
    "ingest",
    StructType(
        [
            _column(c.USER_ID, _STRING, "whose"),
            _column(c.GENDER, _STRING, "as the source says it"),
            _column(c.AGE, _STRING, "age or age band, as the source says it"),
            _column(c.ATTRIBUTES, _MAP, "all other attributes, by the source's names"),
            _column(c.VALID_FROM, _TIME, "when this was known to be so; the latest wins"),
            _RUN,
        ]
    ),
    key=(c.USER_ID,),
)

ITEM_ATTRIBUTES: Final = Table(
    "item_attributes",
    "ingest",
    StructType(
        [
            _column(c.ITEM_ID, _STRING, "of what"),
            _column(c.TITLE, _STRING, "what to show a person"),
            _column(c.CATEGORY, _STRING, "category or genres, joined by |"),
            _column(c.BRAND, _STRING, "brand or maker"),
            _column(c.PRICE, _DOUBLE, "in the source's own currency"),
            _column(c.YEAR, _INT, "year of release or launch"),
            _column(c.ATTRIBUTES, _MAP, "all other attributes, by the source's names"),
            _column(c.VALID_FROM, _TIME, "when this was known to be so; the latest wins"),
            _RUN,
        ]
    ),
    key=(c.ITEM_ID,),
)

USERS: Final = Table(
    "users",
    "index",
    StructType([_column(c.USER_ID, _STRING, "the business's id"), _USER_IDX, _RUN]),
    key=(c.USER_ID,),
)

ITEMS: Final = Table(
    "items",
    "index",
    StructType([_column(c.ITEM_ID, _STRING, "the business's id"), _ITEM_IDX, _RUN]),
    key=(c.ITEM_ID,),
)

INTERACTIONS: Final = Table(
    "interactions",
    "index",
    StructType(
        [
            _AS_OF,
            _USER_IDX,
            _ITEM_IDX,
            _column(c.EVENTS, _LONG, "events of the pair up to the date"),
            _column(c.POSITIVES, _LONG, "those that count as positive"),
            _column(c.TRAIN_POSITIVES, _LONG, "positives in the train part of the split"),
            _column(c.VALIDATION_POSITIVES, _LONG, "positives in the validation part"),
            _column(c.TEST_POSITIVES, _LONG, "positives in the test part"),
            _column(c.FIRST_TIME, _TIME, "first event of the pair"),
            _column(c.LAST_TIME, _TIME, "last event of the pair up to the date"),
            _column(c.LAST_VALUE, _DOUBLE, "value of that last event"),
            _column(c.TRAIN_VALUE, _DOUBLE, "value of the latest positive of the train part that has one"),
            _column(c.VALIDATION_VALUE, _DOUBLE, "the same of the validation part"),
            _column(c.TEST_VALUE, _DOUBLE, "the same of the test part"),
        ]
    ),
    key=(c.AS_OF_DATE, c.USER_IDX, c.ITEM_IDX),
    partitioned_by=(c.AS_OF_DATE,),
)

USER_FEATURES: Final = Table(
    "user_features",
    "features",
    StructType(
        [
            _AS_OF,
            _FIT,
            _USER_IDX,
            _column(c.EVENTS, _LONG, "events of the user up to the cut"),
            _column(c.ITEMS, _LONG, "different items among them"),
            _column(c.FIRST_TIME, _TIME, "first event"),
            _column(c.LAST_TIME, _TIME, "last event up to the cut"),
            _column(c.MEAN_VALUE, _DOUBLE, "mean value of the events that have one"),
            _column(c.SEGMENT, _STRING, "value of recommend.segment for the user; null where unknown"),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
)

ITEM_FEATURES: Final = Table(
    "item_features",
    "features",
    StructType(
        [
            _AS_OF,
            _FIT,
            _ITEM_IDX,
            _column(c.EVENTS, _LONG, "events of the item up to the cut"),
            _column(c.USERS, _LONG, "different users among them: its popularity"),
            _column(c.FIRST_TIME, _TIME, "first event"),
            _column(c.LAST_TIME, _TIME, "last event up to the cut"),
            _column(c.MEAN_VALUE, _DOUBLE, "mean value of the events that have one"),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.ITEM_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    properties=_FED,
)

SEQUENCES: Final = Table(
    "sequences",
    "features",
    StructType(
        [
            _AS_OF,
            _FIT,
            _USER_IDX,
            _column(c.ITEMS, ArrayType(_INT), "the latest items in time order, repeats kept, oldest first"),
            _column(c.TIMES, ArrayType(_LONG), "their times, seconds since 1970"),
            _column(c.LENGTH, _INT, "how many"),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    properties=_FED,
)


_CODES = _column(
    c.CODES, ArrayType(_INT), "a place each slot of feature_specs: 0 missing, 1 unknown, 2.. by vocabulary, -1 no value"
)
_NUMBERS = _column(c.NUMBERS, ArrayType(FloatType()), "a place each number of feature_specs; NaN where missing")

_CONTEXT = _column(
    c.CONTEXT,
    BinaryType(),
    "the features declared of the context, codes as little-endian int32, then numbers as float32; null where none are",
)

USER_ENCODED: Final = Table(
    "user_encoded",
    "features",
    StructType([_AS_OF, _FIT, _USER_IDX, _CODES, _NUMBERS]),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    properties=_FED,
)

EVENT_CONTEXTS: Final = Table(
    "event_contexts",
    "features",
    StructType(
        [
            _AS_OF,
            _FIT,
            _column(c.PART, _STRING, "of the split: train, validation or test"),
            _USER_IDX,
            _ITEM_IDX,
            _column(c.POSITION, _INT, "the event's place in the user's history, from 1, oldest first"),
            _CONTEXT,
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX, c.POSITION),
    partitioned_by=(c.AS_OF_DATE, c.FIT, c.PART),
    properties=_FED,
)

ITEM_ENCODED: Final = Table(
    "item_encoded",
    "features",
    StructType([_AS_OF, _FIT, _ITEM_IDX, _CODES, _NUMBERS]),
    key=(c.AS_OF_DATE, c.FIT, c.ITEM_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    properties=_FED,
)

FEATURE_SPECS: Final = Table(
    "feature_specs",
    "features",
    StructType(
        [
            _AS_OF,
            _FIT,
            _column(c.FEATURE, _STRING, "its name in features.declared"),
            _column(c.OF, _STRING, "user, item or context"),
            _column(c.KIND, _STRING, "categorical, multi_hot, dense, text or vector"),
            _column(c.POSITION, _INT, "place in features.declared, from 0"),
            _column(c.FIRST, _INT, "its first slot in codes, or its first place in numbers, from 0"),
            _column(c.LENGTH, _INT, "how many slots or places"),
            _column(c.SIZE, _INT, "codes it may take: its vocabulary and two; null for numbers"),
            _column(c.VOCABULARY, MapType(_STRING, _INT), "value -> code, from 2; null for numbers"),
            _column(c.MEAN, _DOUBLE, "mean of a dense feature, after log1p where that is asked"),
            _column(c.STD, _DOUBLE, "standard deviation of a dense feature, likewise; 0: all alike, not divided by"),
            _column(c.IDF, ArrayType(_DOUBLE), "weight of each hash bucket of a text feature's words; 0: not learnt"),
            _column(c.MISSING, _LONG, "entities of the index without a value"),
            _column(c.UNKNOWN, _LONG, "values outside the vocabulary, or that are no number or text of known words"),
            _column(c.LEARNT_FROM, _LONG, "entities of the fit's parts with a value: all that is learnt is from them"),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.FEATURE),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    properties=_FED,
)


def train_examples(negatives: int) -> Table:
    """The pairs table for K negatives: one row a positive and draw, what is known of it, `negative_1..K`, all flat.

    With `examples.positives: events` a pair has a row for each time it was a positive.

    Deletion vectors and column mapping stay off: the feed reads the files themselves.
    """
    value = _column(c.VALUE, FloatType(), "latest value of the pair in the parts of the fit, NaN where it has none")
    converted = _column(
        c.CONVERTED,
        FloatType(),
        "1 if the pair has an event of examples.conversion_types there, else 0; NaN without such types",
    )
    draw = _column(c.DRAW, _INT, "which draw of negatives, from 0")
    drawn = [_column(c.negative(k), _INT, "item_idx of a negative") for k in range(1, negatives + 1)]
    return Table(
        "train_examples",
        "examples",
        StructType([_AS_OF, _FIT, draw, _USER_IDX, _ITEM_IDX, value, converted, _CONTEXT, *drawn]),
        key=(c.AS_OF_DATE, c.FIT, c.DRAW, c.USER_IDX, c.ITEM_IDX),
        partitioned_by=(c.AS_OF_DATE, c.FIT, c.DRAW),
        properties=_FED,
    )


TRAIN_SEQUENCES: Final = Table(
    "train_sequences",
    "examples",
    StructType(
        [
            _AS_OF,
            _FIT,
            _USER_IDX,
            _column(
                c.WINDOW,
                BinaryType(),
                "a window of the user's items, oldest first, as little-endian int32: -1 in front of short ones",
            ),
            _column(c.LENGTH, _INT, "how many items the window holds"),
            _column(
                c.CONTEXT,
                BinaryType(),
                "the contexts of all but its first item, one after the other; null: none declared",
            ),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX, c.WINDOW),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    properties=_FED,
)

_SHOWN_AT = _column(c.SHOWN_AT, _INT, "code of the position: 0 missing, 1 unknown, 2.. by how often it occurs")

TRAIN_IMPRESSIONS: Final = Table(
    "train_impressions",
    "examples",
    StructType(
        [_AS_OF, _FIT, _USER_IDX, _ITEM_IDX, _column(c.CLICKED, _INT, "1 if it counts as positive, else 0"), _SHOWN_AT]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.USER_IDX, c.ITEM_IDX),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
    properties=_FED,
)

SHOWN_POSITIONS: Final = Table(
    "shown_positions",
    "examples",
    StructType(
        [
            _AS_OF,
            _FIT,
            _SHOWN_AT,
            _column(c.POSITION, _STRING, "what the events call it; null for missing and for unknown ones"),
            _column(c.IMPRESSIONS, _LONG, "impressions of the fit's parts there"),
            _column(c.CLICKS, _LONG, "how many of them were clicked"),
            _column(
                c.PROPENSITY, _DOUBLE, "chance that it is looked at, the best position's being 1; null: not estimated"
            ),
        ]
    ),
    key=(c.AS_OF_DATE, c.FIT, c.SHOWN_AT),
    partitioned_by=(c.AS_OF_DATE, c.FIT),
)

EVAL_EXAMPLES: Final = Table(
    "eval_examples",
    "examples",
    StructType(
        [
            _AS_OF,
            _column(c.PART, _STRING, "validation or test"),
            _USER_IDX,
            _column(c.TARGETS, ArrayType(_INT), "items the user took in that part, sorted by item_idx"),
            _column(c.VALUES, ArrayType(_DOUBLE), "the targets' latest values in that part, null for one without"),
            _column(c.CANDIDATES, ArrayType(_INT), "negatives to rank the targets among, none of them a target"),
        ]
    ),
    key=(c.AS_OF_DATE, c.PART, c.USER_IDX),
    partitioned_by=(c.AS_OF_DATE, c.PART),
    properties=_FED,
)

MODELS: Final = Table(
    "models",
    "train",
    StructType(
        [
            _column(c.MODEL_VERSION, _STRING, "name of the artifact's folder"),
            _column(c.MODEL_NAME, _STRING, "neumf, ..."),
            _AS_OF,
            _FIT,
            _column("path", _STRING, "where the artifact lies"),
            _column("evaluated_by", _STRING, "model_version of the evaluate fit that vouches for it"),
            _column("epochs", _INT, "epochs trained"),
            _column("validation_ndcg", _DOUBLE, "NDCG@10 on validation, for the evaluate fit"),
            _column("config_hash", _STRING, "hash of the effective configuration"),
            _column("created_at", _TIME, "when"),
            _RUN,
        ]
    ),
    key=(c.MODEL_VERSION,),
)

_RECOMMENDATION_COLUMNS = [
    _AS_OF,
    _column(c.VARIANT, _STRING, "experiment variant; 'default' where there is none"),
    _column(c.USER_ID, _STRING, "for whom"),
    _column(c.RANK, _INT, "place in the list, from 1, without gaps"),
    _column(c.ITEM_ID, _STRING, "what"),
    _column(c.SCORE, FloatType(), "the model's score: comparable within one list only"),
    _column(c.REASON_CODE, _STRING, "model, repeat, popular_segment or popular"),
    _column(c.REASON_ITEM_ID, _STRING, "the item that the reason speaks of, if any"),
    _column(c.SOURCES, ArrayType(_STRING), "the candidate sources that proposed it"),
    _column(c.PROPENSITY, _DOUBLE, "probability with which the policy showed it; 1 where nothing was drawn"),
    _column(c.MODEL_VERSION, _STRING, "the model that scored it, see models"),
    _RUN,
]

RECOMMENDATIONS: Final = Table(
    "recommendations",
    "recommend",
    StructType(_RECOMMENDATION_COLUMNS),
    key=(c.AS_OF_DATE, c.VARIANT, c.USER_ID, c.RANK),
    partitioned_by=(c.AS_OF_DATE,),
)

RECOMMENDATIONS_CURRENT: Final = Table(
    "recommendations_current",
    "recommend",
    StructType(_RECOMMENDATION_COLUMNS),
    key=(c.VARIANT, c.USER_ID, c.RANK),
)

METRICS: Final = Table(
    "metrics",
    "evaluate",
    StructType(
        [
            _RUN,
            _AS_OF,
            _column(c.MODEL_VERSION, _STRING, "what was scored: a model_version, or a baseline's name"),
            _column(c.MODEL_NAME, _STRING, "neumf, popularity, random, ..."),
            _column(c.DATASET, _STRING, "name of the data set in the configuration"),
            _column(c.PROTOCOL, _STRING, "sampled: among candidates; full: among all items; ratings: values predicted"),
            _column(c.SPLIT, _STRING, "train, validation or test"),
            _column(c.SEGMENT, _STRING, "all, or the users or items it is taken over"),
            _column(c.METRIC, _STRING, "hr, ndcg, precision, recall, mrr, map, auc, log_loss, rmse, ..."),
            _column(c.K, _INT, "cut-off of the list; null where the metric has none"),
            _column(c.VALUE, _DOUBLE, "the figure"),
            _column(c.LOW, _DOUBLE, "lower end of its 95% confidence interval; null where it has none"),
            _column(c.HIGH, _DOUBLE, "upper end"),
            _column(c.N, _LONG, "users (or pairs) it is taken over"),
        ]
    ),
    key=(c.AS_OF_DATE, c.MODEL_VERSION, c.PROTOCOL, c.SPLIT, c.SEGMENT, c.METRIC, c.K),
    partitioned_by=(c.AS_OF_DATE,),
)

TUNE_TRIALS: Final = Table(
    "tune_trials",
    "tune",
    StructType(
        [
            _column("study", _STRING, "data set, model, date, and a digest of what its trials have in common"),
            _column("trial", _INT, "number within the study, from 0; those that were killed have no row"),
            _column("status", _STRING, "done, pruned or failed"),
            _column(c.VALUE, _DOUBLE, "tune.metric on validation, at the best epoch; null for a failed trial"),
            _column("settings", _MAP, "key -> value that was tried, as --set takes it"),
            _column("epochs", _INT, "epochs trained"),
            _column("seconds", _DOUBLE, "how long the trial took"),
            _column("error", _STRING, "what went wrong, for a failed trial"),
            _RUN,
        ]
    ),
    key=("study", "trial"),
)

BENCHMARK_CELLS: Final = Table(
    "benchmark_cells",
    "benchmark",
    StructType(
        [
            _column(c.DATASET, _STRING, "name of the data set in benchmark.datasets"),
            _column(c.MODEL_NAME, _STRING, "label of the model in benchmark.models"),
            _column("seed", _LONG, "run.seed of the cell"),
            _column(
                "config_hash", _STRING, "hash of the cell's effective configuration: one that is there is not run again"
            ),
            _column(
                "subject", _STRING, "evaluate or refit (the model's fits), popularity or random; null: the cell failed"
            ),
            _AS_OF,
            _column("figures", MapType(_STRING, _DOUBLE), "figure by protocol/split/metric@k"),
            _column("training_seconds", _DOUBLE, "seconds of the fit's epochs, validation and start-up left out"),
            _column("parameters", _LONG, "numbers in the model's weights"),
            _column(c.MODEL_VERSION, _STRING, "what was measured, as in metrics below the data set's root"),
            _column("error", _STRING, "what went wrong, for a cell that failed; it is run again"),
            _column("finished_at", _TIME, "when"),
            _RUN,
        ]
    ),
    key=(c.DATASET, c.MODEL_NAME, "seed", "config_hash", "subject", "finished_at"),
)

RUNS: Final = Table(
    "runs",
    "every job",
    StructType(
        [
            _RUN,
            _column("pipeline_id", _STRING, "shared by the stages of one pipeline run"),
            _column("stage", _STRING, "ingest, index, ..."),
            _AS_OF,
            _column("status", _STRING, "done or failed"),
            _column("started_at", _TIME, "when it began"),
            _column("seconds", _DOUBLE, "how long it took"),
            _column("config_hash", _STRING, "hash of the effective configuration"),
            _column("config", _STRING, "that configuration, as YAML"),
            _column("code_version", _STRING, "version of the package"),
            _column("versions_read", MapType(_STRING, _LONG), "table -> Delta version read"),
            _column("versions_written", MapType(_STRING, _LONG), "table -> Delta version written"),
            _column("counts", MapType(_STRING, _LONG), "rows by what they are"),
            _column("error", _STRING, "what went wrong, for a failed run"),
        ]
    ),
    key=(c.RUN_ID, "stage"),
)

TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        EVENTS,
        EVENTS_REJECTED,
        USER_ATTRIBUTES,
        ITEM_ATTRIBUTES,
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
        RECOMMENDATIONS,
        RECOMMENDATIONS_CURRENT,
        METRICS,
        TUNE_TRIALS,
        BENCHMARK_CELLS,
        RUNS,
    )
}

# A frame between stages, never a table: one event in dense indices, with the part of the split it fell in.
LABELLED_EVENTS: Final = StructType(
    [
        _USER_IDX,
        _ITEM_IDX,
        _column(c.EVENT_TIME, _TIME, "when"),
        _column(c.POSITION, _INT, "place in the user's history, from 1, oldest first"),
        _column(c.EVENT_VALUE, _DOUBLE, "value"),
        _column(c.POSITIVE, BooleanType(), "whether it counts as positive"),
        _column(c.PART, _STRING, "train, validation or test"),
    ]
)
