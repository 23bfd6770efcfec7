"""The configuration: YAML files laid over `conf/default.yaml`, parsed into frozen classes that reject what they lack.

Every default stands once, in `conf/default.yaml`; the classes declare types, ranges and choices only.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator

from recsys_spark.config_base import Dropout, NotNegative, NotNegativeNumber, Positive, Section, Share
from recsys_spark.errors import UserError
from recsys_spark.model_settings import Kind, Model, section_of

Fit = Literal["evaluate", "refit", "production"]
Of = Literal["user", "item"]
Baseline = Literal[
    "popularity", "recent_popularity", "category_popularity", "random", "own_frequency", "item_knn", "ease", "als"
]


class RunOptions(Section):
    seed: int
    shuffle_partitions: NotNegative
    driver_bytes: Positive


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
    mapping: Mapped


class Interactions(Section):
    positive_types: list[str]
    positive_min_value: float | None
    min_user_items: Positive
    min_item_users: Positive
    max_core_rounds: Positive


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
    test_file: str
    negatives_file: str
    given_ids: Literal["business", "zero_based"]

    @property
    def has_cold(self) -> bool:
        """Whether some users or items are kept out of training."""
        return self.cold_item_share > 0.0 or self.cold_user_share > 0.0


class DeclaredFeature(Section):
    """A feature that the configuration declares; one class a kind.

    Entries of a list cannot stand in `conf/default.yaml`, so the defaults of their optional keys stand here.
    """

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    of: Of | Literal["context"]


class VocabularyFeature(DeclaredFeature):
    source: str
    max_size: Positive = 10_000
    min_count: Positive = 1


class CategoricalFeature(VocabularyFeature):
    kind: Literal["categorical"]


class MultiHotFeature(VocabularyFeature):
    kind: Literal["multi_hot"]
    separator: Annotated[str, Field(min_length=1)] = "|"
    slots: Positive = 8


class DenseFeature(DeclaredFeature):
    kind: Literal["dense"]
    source: str
    log: bool = False


class TextFeature(DeclaredFeature):
    kind: Literal["text"]
    source: str
    min_count: Positive = 1
    width: Positive = 32


class VectorFeature(DeclaredFeature):
    kind: Literal["vector"]
    path: Annotated[str, Field(min_length=1)]
    width: Positive


AnyFeature = Annotated[
    CategoricalFeature | MultiHotFeature | DenseFeature | TextFeature | VectorFeature, Field(discriminator="kind")
]


_OF_CONTEXT = ("categorical", "dense")


def _sound(declared: list[AnyFeature]) -> list[AnyFeature]:
    names = [feature.name for feature in declared]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two features are called {', '.join(twice)}; give each a name of its own")
    odd = [feature.name for feature in declared if feature.of == "context" and feature.kind not in _OF_CONTEXT]
    if odd:
        raise ValueError(
            f"features of the context are {' or '.join(_OF_CONTEXT)}; declare {', '.join(odd)} as one of them"
        )
    return declared


class Features(Section):
    sequence_length: Positive
    declared: Annotated[list[AnyFeature], AfterValidator(_sound)]


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
    conversion_types: list[str]
    impression_types: list[str]
    position_key: Annotated[str, Field(min_length=1)]
    positions_kept: Positive
    propensity_items: Positive


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
    block_users: Positive
    users_per_task: Positive
    variant: Annotated[str, Field(min_length=1)]


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
    protocols: Annotated[list[Literal["sampled", "full"]], Field(min_length=1)]
    splits: Annotated[list[Literal["validation", "test"]], Field(min_length=1)]
    metrics: Annotated[list[str], Field(min_length=1)]
    set: list[str]


class Config(Section):
    """The effective configuration of a run."""

    dataset: Annotated[str, Field(min_length=1)]
    root: Annotated[str, Field(min_length=1)]
    run: RunOptions
    storage: Storage
    ingest: Ingest
    interactions: Interactions
    split: Split
    features: Features
    examples: Examples
    model: Model
    training: Training
    recommend: Recommend
    evaluate: Evaluate
    generate: Generate
    tune: Tune
    benchmark: Benchmark

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


_WITHOUT_MEANING = {"root", "run", "storage", "tune", "benchmark"}
_NO_MEANING = (
    ("ingest", "path"),
    ("ingest", "items_path"),
    ("ingest", "users_path"),
    ("training", "threads"),
    ("training", "find_rate"),
    ("training", "find_rate_steps"),
    ("training", "folding_items"),
)


def load_config(files: Sequence[str | Path] = (), settings: Iterable[str] = ()) -> Config:
    """`conf/default.yaml` with its preset of the model, each file, then each `key.sub=value`, each over what came before.

    Raises:
        UserError: a file that is missing or is not YAML, an unknown key (with the nearest known one), a bad value.
    """
    layers = [*map(_of_file, files), *map(_of_setting, settings)]
    default = _parse_yaml(default_yaml(), "conf/default.yaml")
    presets = default.pop("presets")
    for layer, _ in layers:
        presets |= layer.pop("presets", {})  # your own, by model; those of a name that has some already are replaced
    without_preset = copy.deepcopy(default)
    for layer, origin in layers:
        _overlay(without_preset, layer, origin)
    name = without_preset["model"]["name"]
    for layer, origin in ((presets.get(name, {}), f"preset of {name}"), *layers):
        _overlay(default, layer, origin)
    return _validated(default)


def _of_file(file: str | Path) -> tuple[dict[str, Any], str]:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"configuration file {file} cannot be read: {error.strerror}") from error
    return _parse_yaml(text, str(file)), str(file)


def _of_setting(setting: str) -> tuple[dict[str, Any], str]:
    key, separator, value = setting.partition("=")
    if not separator:
        raise UserError(f"--set {setting!r} is not of the form key=value, for example training.ranks=2")
    return nested({key.strip(): _parse_yaml_value(value, setting)}), f"--set {setting}"


def changed(config: Config, settings: Mapping[str, Any], origin: str) -> Config:
    """The configuration with other values of some dotted keys.

    Raises:
        UserError: an unknown key (with the nearest known one), a bad value; the message starts with `origin`.
    """
    merged = config.model_dump(mode="json")
    for key, value in settings.items():
        _overlay(merged, nested({key: value}), origin)
    try:
        return _validated(merged)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as sections: `{"a.b": 1, "a.c": 2}` is `{"a": {"b": 1, "c": 2}}`."""
    sections: dict[str, Any] = {}
    for key, value in settings.items():
        *outer, last = key.split(".")
        section = sections
        for name in outer:
            section = section.setdefault(name, {})
        section[last] = value
    return sections


def _validated(merged: Mapping[str, Any]) -> Config:
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise UserError("\n".join(_explain(problem) for problem in error.errors())) from None


def default_yaml() -> str:
    """The text of `conf/default.yaml`, from the checkout or the installed package."""
    checkout = Path(__file__).resolve().parent.parent / "conf" / "default.yaml"
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    return (resources.files("recsys_spark.conf") / "default.yaml").read_text(encoding="utf-8")


def known_keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Every dotted key of the configuration, sections included."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        section = _section_of(info.annotation)
        if section:
            keys += known_keys(section, f"{prefix}{name}.")
    return keys


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _parse_yaml(text: str, origin: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{origin} is not YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{origin} holds a {type(content).__name__}, expected `key: value` lines")
    return content


def _parse_yaml_value(text: str, setting: str) -> Any:
    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        raise UserError(f"--set {setting!r}: the value is not YAML: {error}") from None


def _overlay(base: dict[str, Any], layer: Mapping[str, Any], origin: str, prefix: str = "") -> None:
    """Lay `layer` over `base`, key by key; free-form mappings (those no class declares) are replaced whole."""
    known = known_keys()
    for key, value in layer.items():
        dotted = f"{prefix}{key}"
        if dotted not in known:
            # another section's key of the same name is as likely a slip as a misspelt one
            near = [name for name in known if name.rpartition(".")[2] == str(key)]
            near = near or difflib.get_close_matches(dotted, known, n=1, cutoff=0.0)
            raise UserError(f"{origin}: unknown key `{dotted}`; did you mean `{near[0]}`?")
        is_section = any(name.startswith(f"{dotted}.") for name in known)
        if is_section and not isinstance(value, Mapping):
            raise UserError(f"{origin}: `{dotted}` is a section, expected `key: value` lines, got {value!r}")
        if is_section:
            _overlay(base[key], value, origin, f"{dotted}.")
        else:
            base[key] = value


def _explain(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    return f"configuration key `{where}`: {problem['msg'][0].lower()}{problem['msg'][1:]} (got {problem['input']!r})"
