"""Every column name, once. `*_id` is what the business calls a thing, `*_idx` the dense integer that stands for it."""

from __future__ import annotations

# who, what, when
USER_ID = "user_id"
ITEM_ID = "item_id"
USER_IDX = "user_idx"
ITEM_IDX = "item_idx"
AS_OF_DATE = "as_of_date"
RUN_ID = "run_id"

# events
EVENT_ID = "event_id"
EVENT_TIME = "event_time"
EVENT_TYPE = "event_type"
EVENT_VALUE = "event_value"
EVENT_ORDER = "event_order"
CONTEXT = "context"
SOURCE = "source"

# events_rejected
RAW = "raw"
LINE = "line"
REASON = "reason"
DETAIL = "detail"

# source_columns
SOURCE_COLUMN = "source_column"
TYPE = "type"
SEEN_AT = "seen_at"

# attributes
TITLE = "title"
CATEGORY = "category"
BRAND = "brand"
PRICE = "price"
YEAR = "year"
GENDER = "gender"
AGE = "age"
ATTRIBUTES = "attributes"
VALID_FROM = "valid_from"

# the split
PART = "part"
POSITION = "position"
POSITIVE = "positive"

# interactions
EVENTS = "events"
POSITIVES = "positives"
TRAIN_POSITIVES = "train_positives"
VALIDATION_POSITIVES = "validation_positives"
TEST_POSITIVES = "test_positives"
FIRST_TIME = "first_time"
LAST_TIME = "last_time"
LAST_VALUE = "last_value"
TRAIN_VALUE = "train_value"
VALIDATION_VALUE = "validation_value"
TEST_VALUE = "test_value"

# features and sequences
FIT = "fit"
USERS = "users"
ITEMS = "items"
MEAN_VALUE = "mean_value"
SEGMENT = "segment"
TIMES = "times"
LENGTH = "length"

# declared features
RECENCY_DAYS = "recency_days"
VECTOR = "vector"
CODES = "codes"
NUMBERS = "numbers"
FEATURE = "feature"
OF = "of"
KIND = "kind"
FIRST = "first"
SIZE = "size"
VOCABULARY = "vocabulary"
MEAN = "mean"
STD = "std"
IDF = "idf"
SEED = "seed"
MISSING = "missing"
UNKNOWN = "unknown"
LEARNT_FROM = "learnt_from"

# examples
READ_AT = "read_at"
WINDOW = "window"
DRAW = "draw"
CLICKED = "clicked"
CONVERTED = "converted"
SHOWN_AT = "shown_at"
IMPRESSIONS = "impressions"
CLICKS = "clicks"
NEGATIVE = "negative"
TARGETS = "targets"
VALUES = "values"
CANDIDATES = "candidates"

# recommendations
VARIANT = "variant"
RANK = "rank"
SCORE = "score"
REASON_CODE = "reason_code"
REASON_ITEM_ID = "reason_item_id"
SOURCES = "sources"
PROPENSITY = "propensity"
MODEL_VERSION = "model_version"
BECAUSE = "because"
AVAILABLE_FROM = "available_from"
AVAILABLE_TO = "available_to"
STAGE = "stage"
STEP = "step"
ROWS_IN = "rows_in"
ROWS_OUT = "rows_out"
REMOVED = "removed"

# models
STARTED_FROM = "started_from"

# exploration
PICTURE = "picture"
SERIES = "series"
LABEL = "label"
STATISTIC = "statistic"

# leases
GENERATION = "generation"
HOLDER = "holder"
RENEWED_AT = "renewed_at"
RELEASED = "released"

# gates
GATE = "gate"
VERDICT = "verdict"
CHECKED_AT = "checked_at"

# monitoring
METHOD = "method"
DAYS = "days"
BREACHED = "breached"
SINCE = "since"

# experiments
EXPERIMENT = "experiment"
LAYER = "layer"
EXPOSED_AT = "exposed_at"

# who was forgotten
KEYED_HASH = "keyed_hash"
KEY_ID = "key_id"
ERROR = "error"  # of runs, trials and cells: text that may hold anything

# metrics
MODEL_NAME = "model_name"
DATASET = "dataset"
PROTOCOL = "protocol"
SPLIT = "split"
METRIC = "metric"
K = "k"
VALUE = "value"
LOW = "low"
HIGH = "high"
N = "n"


def negative(k: int) -> str:
    """The column of the k-th negative, counted from 1: `negative_1`, `negative_2`, ..."""
    return f"{NEGATIVE}_{k}"
