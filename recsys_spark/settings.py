"""The sections of the configuration: types, ranges and choices of every setting; the defaults stand in `conf/default.yaml`."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, model_validator

from recsys_spark.config_base import Dropout, NotNegative, NotNegativeNumber, Positive, Section, Share
from recsys_spark.experiment_settings import Experiment
from recsys_spark.feature_settings import DeclaredFeatures
from recsys_spark.model_settings import Kind, Model, section_of
from recsys_spark.monitor_settings import Monitor
from recsys_spark.operation_settings import Alerts, Maintain
from recsys_spark.publish_settings import Publish
from recsys_spark.recommend_settings import CandidateSettings, FilterSettings
from recsys_spark.rerank_settings import Rerank
from recsys_spark.serve_settings import Serve, Store

Fit = Literal["evaluate", "refit", "production"]
Baseline = Literal[
    "popularity", "recent_popularity", "category_popularity", "random", "own_frequency", "item_knn", "ease", "als"
]


class RunOptions(Section):
    seed: int
    shuffle_partitions: NotNegative
    driver_bytes: Positive
    lease_seconds: NotNegative


class Night(Section):
    retrain_days: Positive
    between: Literal["warm", "keep"]
    warm_epochs: Positive
    refresh: Literal["all", "changed"]


class Storage(Section):
    artifacts: str
    examples: str
    tracking_uri: str


# in a file without header, columns are called by their number
ColumnName = Annotated[str, BeforeValidator(lambda name: str(name) if type(name) is int else name)]
EventColumn = Literal["user_id", "item_id", "event_time", "event_type", "event_value", "event_id"]


class Mapped(Section):
    file_format: Literal["csv", "json", "parquet", "delta"]
    delimiter: Annotated[str, Field(min_length=1)]
    header: bool
    encoding: str
    columns: dict[EventColumn, ColumnName]
    time_unit: Literal["s", "ms", "us", "ns", "format"]
    time_format: str
    context: list[ColumnName]
    item_columns: dict[str, ColumnName]
    user_columns: dict[str, ColumnName]


class CompleteJourney(Section):
    promotions: bool
    passed_over: NotNegative

    @model_validator(mode="after")
    def _passes_over_what_stood_somewhere(self) -> CompleteJourney:
        if self.passed_over and not self.promotions:
            raise ValueError("`passed_over` draws products for where they stood: it needs `promotions: true`")
        return self


class Ingest(Section):
    format: Literal["movielens", "amazon", "marketbias", "complete_journey", "sequence_file", "mapping"]
    path: str
    items_path: str
    users_path: str
    event_type: str
    event_id: list[ColumnName]
    value_min: float | None
    value_max: float | None
    earliest: date
    latest: date | None
    max_rejected_share: Share
    accept_type_changes: bool
    consume: bool
    complete_journey: CompleteJourney
    mapping: Mapped

    @model_validator(mode="after")
    def _consumes_files_that_were_written_for_it(self) -> Ingest:
        if self.consume and (self.format != "mapping" or self.mapping.file_format not in ("csv", "json")):
            raise ValueError("`consume` removes what was read: only files of `format: mapping`, csv or json, may be")
        return self


class Explore(Section):
    by: list[Annotated[str, Field(min_length=1)]]
    top: Annotated[int, Field(gt=0, le=100)]
    sample_events: NotNegative


class Report(Section):
    k: Positive
    top: Annotated[int, Field(gt=0, le=100)]
    items: list[Annotated[str, Field(min_length=1)]]
    shown: Annotated[int, Field(gt=0, le=100)]
    neighbours: Annotated[int, Field(gt=0, le=100)]
    plane_items: Annotated[int, Field(gt=0, le=10_000)]


class Interactions(Section):
    positive_types: list[str]
    positive_min_value: float | None
    min_user_items: Positive
    min_item_users: Positive
    max_core_rounds: Positive
    max_user_events: NotNegative

    @property
    def counts_by_type(self) -> bool:
        """Whether events of some types are no taste, as impressions are: what a user had is what counts as positive then."""
        return bool(self.positive_types)


class Split(Section):
    kind: Literal["leave_last_one", "leave_last_two", "time", "random", "given"]
    repeats: bool
    validation_days: Positive
    test_days: Positive
    test_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    validation_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    cold_item_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    cold_user_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    cold_validation_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    seed: int | None
    test_file: str
    negatives_file: str
    given_ids: Literal["business", "zero_based"]

    @property
    def has_cold(self) -> bool:
        """Whether some users or items are kept out of training."""
        return self.cold_item_share > 0.0 or self.cold_user_share > 0.0


class Features(Section):
    sequence_length: Positive
    declared: DeclaredFeatures


class Examples(Section):
    fits: Annotated[list[Fit], Field(min_length=1)]
    kinds: list[Kind]
    positives: Literal["pairs", "events"]
    negatives: Annotated[int, Field(gt=0, le=1000)]
    draws: Positive
    sampling: Literal["uniform", "popularity"]
    alpha: Annotated[float, Field(ge=0.0)]
    strict_train: bool
    rows_per_file: Positive
    eval_negatives: Positive
    window: Positive
    windows: Positive
    baskets: bool
    conversion_types: list[str]
    impression_types: list[str]
    position_key: Annotated[str, Field(min_length=1)]
    positions_kept: Positive
    propensity_items: Positive


class Retriever(Section):
    name: Literal["", "two_tower", "softmax_dnn", "gru4rec", "sasrec"]
    settings: dict[str, Any]


class Training(Section):
    ranks: Positive
    batch_rows: Positive
    epochs: Positive
    patience: NotNegative
    optimizer: Literal["adam", "adagrad"]
    learning_rate: Annotated[float, Field(gt=0.0)]
    schedule: Literal["constant", "cosine", "one_cycle"]
    warmup_steps: NotNegative
    final_rate_share: Share
    one_cycle_peak_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    one_cycle_div: Annotated[float, Field(ge=1.0)]
    find_rate: bool
    find_rate_steps: Annotated[int, Field(ge=20, le=10_000)]
    clip_norm: Annotated[float, Field(ge=0.0)]
    dense_rows: NotNegative
    steps_per_call: Positive
    mixed_precision: bool
    validation: Literal["sampled", "full"]
    validation_users: NotNegative
    folding_items: NotNegative
    folding_users: Positive
    threads: NotNegative
    position: Literal["ignore", "tower", "weights"]
    position_dropout: Dropout
    propensities: dict[ColumnName, Annotated[float, Field(gt=0.0, le=1.0)]]
    least_propensity: Annotated[float, Field(gt=0.0, le=1.0)]


class Recommend(Section):
    n: Positive
    exclude_seen: bool
    segment: str
    active_days: NotNegative
    segment_head: Positive
    context: dict[str, str | int | float]
    candidates: CandidateSettings
    filters: FilterSettings
    calibration: Literal["none", "platt"]
    calibration_users: Positive
    block_users: Positive
    users_per_task: Positive
    variant: Annotated[str, Field(min_length=1)]
    rerank: Rerank


class Evaluate(Section):
    ks: Annotated[list[Positive], Field(min_length=1)]
    protocols: Annotated[list[Literal["sampled", "full", "ratings"]], Field(min_length=1)]
    splits: Annotated[list[Literal["validation", "test"]], Field(min_length=1)]
    light_user_events: Positive
    head_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    full_users: NotNegative
    loss_rows: NotNegative
    bias_shrinkage: NotNegativeNumber
    baselines: list[Baseline]
    recent_days: Positive
    knn_neighbours: Positive
    knn_shrinkage: NotNegativeNumber
    ease_regularisation: Annotated[float, Field(gt=0.0)]
    als_rank: Positive
    als_iterations: Positive
    als_regularisation: NotNegativeNumber
    als_alpha: Annotated[float, Field(gt=0.0)]
    block_bytes: Positive


class Generate(Section):
    users: Annotated[int, Field(gt=0, lt=1 << 31)]
    items: Annotated[int, Field(gt=0, lt=1 << 31)]
    events: Positive
    days: Annotated[int, Field(gt=0, le=36500)]
    end: date
    partitions: Positive
    user_exponent: NotNegativeNumber
    item_exponent: NotNegativeNumber
    session_events: Annotated[float, Field(ge=1.0)]
    purchase_share: Share
    repeat_share: Share
    new_user_share: Annotated[float, Field(ge=0.0, le=0.9)]
    new_item_share: Annotated[float, Field(ge=0.0, le=0.9)]
    growth: Annotated[float, Field(gt=-1.0)]
    factors: Annotated[int, Field(gt=0, le=64)]
    candidates: Annotated[int, Field(gt=0, le=64)]
    taste: NotNegativeNumber
    mood: NotNegativeNumber
    drift: NotNegativeNumber
    position_bias: NotNegativeNumber
    drift_day: NotNegative | None
    drift_strength: Share


class TuneValues(Section):
    """What one setting may be while tuning. The user names the setting, so what is left out has its default here."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: list[Any] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_whole(self) -> TuneValues:
        is_range = self.low is not None and self.high is not None and self.low < self.high and not self.choices
        is_choice = bool(self.choices) and self.low is None and self.high is None and not self.log
        if not is_range and not is_choice:
            raise ValueError("expected `low` and a greater `high`, with or without `log`, or else `choices`")
        if self.log and self.low is not None and self.low <= 0:
            raise ValueError("on a log scale `low` must be greater than 0")
        return self


class Tune(Section):
    trials: Positive
    metric: Literal["ndcg@10", "hr@10", "rmse"]
    pruner: Literal["none", "median"]
    storage: str
    space: dict[str, TuneValues]


class BenchmarkData(Section):
    """One data set of a benchmark. The user names it, so what is left out has its default here."""

    config: list[str] = Field(default_factory=list)
    set: list[str] = Field(default_factory=list)
    root: str = ""
    prepare: tuple[Literal["ingest", "generate", "index", "features"], ...] = ("ingest", "index", "features")


class BenchmarkModel(Section):
    """One model of a benchmark, likewise."""

    set: list[str] = Field(default_factory=list)


class Benchmark(Section):
    datasets: dict[str, BenchmarkData]
    models: dict[str, BenchmarkModel]
    baselines: list[Baseline]
    fits: Annotated[list[Literal["evaluate", "refit"]], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    protocols: Annotated[list[Literal["sampled", "full", "ratings"]], Field(min_length=1)]
    splits: Annotated[list[Literal["validation", "test"]], Field(min_length=1)]
    metrics: Annotated[list[str], Field(min_length=1)]
    set: list[str]


class Doctor(Section):
    seconds: Positive
    least_memory_mib: NotNegative
    least_shared_mib: NotNegative
    least_disk_mib: NotNegative


class Config(Section):
    """The effective configuration of a run."""

    dataset: Annotated[str, Field(min_length=1)]
    root: Annotated[str, Field(min_length=1)]
    run: RunOptions
    night: Night
    storage: Storage
    ingest: Ingest
    explore: Explore
    interactions: Interactions
    split: Split
    features: Features
    examples: Examples
    model: Model
    training: Training
    retriever: Retriever
    recommend: Recommend
    publish: Publish
    store: Store
    serve: Serve
    evaluate: Evaluate
    report: Report
    generate: Generate
    tune: Tune
    benchmark: Benchmark
    experiment: Experiment
    monitor: Monitor
    maintain: Maintain
    alerts: Alerts
    doctor: Doctor

    def as_yaml(self) -> str:
        """The whole configuration as YAML that `--config` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def digest(self, *sections: str) -> str:
        """Twelve hex digits over the seed and the named sections (when none is named, all that say what a run means).

        Where files and tables lie, on what a run is spread, what is tried beside it and the settings of models that are not
        chosen change neither.
        """
        content = self.model_dump(mode="json")
        for section, key in _NO_MEANING:
            del content[section][key]
        name, its_section = self.model.name, section_of(self.model.name)
        content["model"] = {"name": name, its_section: content["model"][its_section]}
        chosen = sections or tuple(key for key in content if key not in _WITHOUT_MEANING)
        meaning = {key: content[key] for key in chosen} | {"seed": self.run.seed}
        canonical = json.dumps(meaning, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


_WITHOUT_MEANING = {
    "root", "run", "night", "storage", "explore", "retriever", "publish", "store", "serve", "tune", "benchmark", "experiment",
    "maintain", "alerts", "doctor", "report", "monitor",
}  # fmt: skip
_NO_MEANING = (
    ("ingest", "path"),
    ("ingest", "items_path"),
    ("ingest", "users_path"),
    ("ingest", "accept_type_changes"),
    ("ingest", "consume"),
    ("training", "threads"),
    ("training", "find_rate"),
    ("training", "find_rate_steps"),
    ("training", "folding_items"),
    ("training", "folding_users"),
)
