"""What may be tried: the configuration's `tune.space`, held against the configuration's own keys, types and ranges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any, Final

import yaml

from recsys_spark.config import changed, known_keys, nested
from recsys_spark.errors import UserError
from recsys_spark.settings import Config, TuneValues

_SECTIONS: Final = ("model.", "training.")
_ALIKE: Final = ("dataset", "ingest", "interactions", "split", "examples", "model", "training")


@dataclass(frozen=True)
class Dimension:
    """One setting and what it may be: one of `choices`, or a number from `low` to `high`, both included."""

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that tell whether all of them hold."""
        if self.choices:
            return self.choices
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)


def dimensions(config: Config) -> list[Dimension]:
    """The search space in the order of its keys, whatever their order in the file.

    Raises:
        UserError: it is empty; a key is unknown (with the nearest known one), is a section, or would need another stage
            to be run again; a range is of something that is no number, or goes beyond what the setting allows.
    """
    if not config.tune.space:
        raise UserError(
            "tune.space is empty, so there is nothing to try: give --config conf/tune-<model>.yaml, or one like it"
        )
    return [_dimension(config, key, values) for key, values in sorted(config.tune.space.items())]


def study_name(config: Config, as_of: date, space: Sequence[Dimension]) -> str:
    """Trials with one name compare: same data, date, model, seed, space and metric, same settings beside the space.

    What the configuration says of a setting in the space does not count, nor does the number of trials.
    """
    fixed = changed(config, {dimension.key: dimension.ends[0] for dimension in space}, "tune.space")
    tried = {key: values.model_dump() for key, values in config.tune.space.items()}
    meaning = [fixed.digest(*_ALIKE), config.tune.metric, config.tune.pruner, tried]
    digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]
    return f"{config.dataset}-{config.model.name}-{as_of:%Y%m%d}-{digest}"


def as_yaml(settings: Mapping[str, Any]) -> str:
    """Settings by dotted key as YAML that `--config` reads back."""
    return yaml.safe_dump(nested(settings), sort_keys=False)


def _dimension(config: Config, key: str, values: TuneValues) -> Dimension:
    _check_key(config, key)
    now = reduce(getattr, key.split("."), config)
    dimension = Dimension(key, tuple(values.choices)) if values.choices else _range(key, now, values)
    for end in dimension.ends:
        changed(config, {key: end}, "tune.space")
    return dimension


def _check_key(config: Config, key: str) -> None:
    if key not in known_keys():
        changed(config, {key: None}, "tune.space")  # raises, and knows the near miss
    if any(known.startswith(f"{key}.") for known in known_keys()):
        raise UserError(f"tune.space: `{key}` is a section, expected one of its keys")
    if not key.startswith(_SECTIONS):
        raise UserError(
            f"tune.space: `{key}` cannot be tuned: a trial only trains, and stages before it would have to be run again; "
            "expected keys under model. and training."
        )
    if key == "model.name":
        raise UserError("tune.space: a study is of one model: run jobs/tune.py once for each model.name")


def _range(key: str, now: Any, values: TuneValues) -> Dimension:
    if isinstance(now, bool) or not isinstance(now, int | float):
        raise UserError(f"tune.space: `{key}` is no number (it is {now!r}): give it `choices` in place of low and high")
    assert values.low is not None and values.high is not None
    whole = isinstance(now, int)
    if whole and (values.low % 1 or values.high % 1):
        raise UserError(f"tune.space: `{key}` is a whole number, got {values.low} to {values.high}")
    return Dimension(key, (), values.low, values.high, values.log, whole)
