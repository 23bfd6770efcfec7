"""What a unit of work takes: as shipped in `conf/capacity.yaml`, or as the runs of a root show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import yaml
from pydantic import Field

from recsys_spark.capacity.work import Counts, work_of
from recsys_spark.config import conf_text
from recsys_spark.config_base import NotNegativeNumber, Positive, PositiveNumber, Section
from recsys_spark.settings import Config

_RUNS: Final = 5  # the latest of a stage that count
_ON_ONE_MACHINE: Final = "train"  # a rank has the cores of its machine, however many the cluster has


class StageCost(Section):
    """seconds = fixed + microseconds x work / 1e6; microseconds may differ by model."""

    fixed: NotNegativeNumber
    microseconds: NotNegativeNumber | dict[str, NotNegativeNumber]

    def seconds(self, work: int, model: str) -> float:
        """Seconds for so much work."""
        each = self.microseconds[model] if isinstance(self.microseconds, dict) else self.microseconds
        return self.fixed + each * work / 1e6

    def sped_up(self, times: float) -> StageCost:
        """The same where work goes so many times as fast; what is fixed stays."""
        each = self.microseconds
        faster = {name: one / times for name, one in each.items()} if isinstance(each, dict) else each / times
        return StageCost(fixed=self.fixed, microseconds=faster)


class Coefficients(Section):
    """All that an estimate knows of machine and formats; see `conf/capacity.yaml` for the units.

    `observed`: by stage, how many times the shipped seconds the runs of this root took.
    """

    cores: Positive
    stages: dict[str, StageCost]
    bytes: dict[str, PositiveNumber]
    mib: dict[str, PositiveNumber]
    tested: dict[str, Positive]
    observed: dict[str, PositiveNumber] = Field(default_factory=dict)

    def seconds(self, stage: str, work: int, model: str) -> float:
        """Seconds that a stage takes for so much work with a model."""
        return self.stages[stage].seconds(work, model) * self.observed.get(stage, 1.0)

    def on(self, cores: int) -> Coefficients:
        """On another number of cores: work goes as many times as fast, but for a training of one rank.

        That it does was not measured: give the root some runs, and they count instead.
        """
        times = cores / self.cores
        stages = {name: cost if name == _ON_ONE_MACHINE else cost.sped_up(times) for name, cost in self.stages.items()}
        return self.model_copy(update={"cores": cores, "stages": stages})


@dataclass(frozen=True)
class Observed:
    """One run of a stage that was done: its seconds, and what it had to do."""

    stage: str
    seconds: float
    counts: Counts
    config: Config


def load_coefficients() -> Coefficients:
    """Those that are shipped."""
    return Coefficients.model_validate(yaml.safe_load(conf_text("capacity.yaml")))


def calibrated(shipped: Coefficients, runs: Sequence[Observed]) -> Coefficients:
    """The coefficients with each stage's seconds as the root's own runs show them.

    A stage's factor is the median, over its latest five runs, of the seconds it took by those that the shipped coefficients
    foretell for the same work. Fewer epochs than `training.epochs` show in it as well.

    Args:
        shipped: for the cores of this cluster.
        runs: the newest first.
    """
    ratios: dict[str, list[float]] = {}
    for run in runs:
        work = work_of(run.counts, run.config)[run.stage].number
        foretold = shipped.seconds(run.stage, work, run.config.model.name)
        if foretold > 0 and run.seconds > 0 and len(ratios.setdefault(run.stage, [])) < _RUNS:
            ratios[run.stage].append(run.seconds / foretold)
    observed: Mapping[str, float] = {stage: median(found) for stage, found in ratios.items() if found}
    return shipped.model_copy(update={"observed": dict(observed)})
