"""Experiments for tests: the shipped defaults, and what a test says otherwise."""

from __future__ import annotations

from typing import Any

from recsys_spark.config import changed, load_config
from recsys_spark.experiment_settings import Experiment

CONVERSION = {"conversion": {"of": "users", "types": ["purchase"], "role": "primary"}}


def experiment(**settings: Any) -> Experiment:
    """`experiment(name="a", ramp=0.5)`; keys of a section as `design__power`."""
    plain = {"name": "test", "layer": "page", "variants": {"control": 0.5, "treatment": 0.5}, "metrics": CONVERSION}
    dotted = {f"experiment.{key.replace('__', '.')}": value for key, value in (plain | settings).items()}
    return changed(load_config(), dotted, "test").experiment
