"""The estimate: counts, a configuration and coefficients -> hours, disk, memory, and what will not do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from recsys_spark.capacity.coefficients import Coefficients
from recsys_spark.capacity.disk import TableSize, disk_of
from recsys_spark.capacity.memory import Memory, memory_of
from recsys_spark.capacity.work import Counts, Work, positives, work_of
from recsys_spark.settings import Config

_HOUR: Final = 3600.0
_MIB: Final = 1 << 20
_COLUMN: Final = 8  # bytes of a number, as run.driver_bytes counts them
_ITEMS_BY_ITEMS: Final = ("item_knn", "ease")


@dataclass(frozen=True)
class StageTime:
    """One stage: what it has to do, the seconds it takes, and whether runs of this root say so."""

    name: str
    work: Work
    seconds: float
    observed: bool


@dataclass(frozen=True)
class Plan:
    """What a night will take. `warnings`: what will be refused, or was never tried."""

    counts: Counts
    model: str
    cores: int
    stages: tuple[StageTime, ...]
    tables: tuple[TableSize, ...]
    memory: tuple[Memory, ...]
    warnings: tuple[str, ...]

    @property
    def hours(self) -> float:
        """All stages, one after the other."""
        return sum(stage.seconds for stage in self.stages) / _HOUR

    @property
    def disk_bytes(self) -> int:
        """All tables and artifacts of one date."""
        return sum(table.bytes for table in self.tables)

    @property
    def date_bytes(self) -> int:
        """What every further date adds, until it is removed."""
        return sum(table.bytes for table in self.tables if table.each_date)

    def lines(self) -> Iterator[str]:
        """The plan for a person to read."""
        counts = self.counts
        sizes = f"{counts.events:,} events, {counts.users:,} users, {counts.items:,} items, {counts.pairs:,} pairs"
        yield f"plan for {self.model}: {sizes}"
        yield f"hours on {self.cores} cores; * as the runs of this root took, others as measured elsewhere"
        for stage in self.stages:
            mark = "*" if stage.observed else " "
            yield f"  {stage.name:<24} {stage.seconds / _HOUR:>10.2f} {mark}  {stage.work.number:,} {stage.work.of}"
        yield f"  {'in all':<24} {self.hours:>10.2f}"
        yield "disk, MiB; + every further date adds as much"
        for table in self.tables:
            yield f"  {table.name:<24} {_mib(table.bytes):>10} {'+' if table.each_date else ' '}  {table.rows:,} rows"
        yield f"  {'in all':<24} {_mib(self.disk_bytes):>10}    of which a further date adds {_mib(self.date_bytes)}"
        yield "memory, MiB a process"
        for one in self.memory:
            yield f"  {one.process:<34} {_mib(one.bytes):>10}    {one.made_of}"
        yield from (f"note: {warning}" for warning in self.warnings)


def estimate(counts: Counts, config: Config, coefficients: Coefficients) -> Plan:
    """What a night over such data takes with this configuration, reckoned from the counts alone.

    The formulas stand at `work.work_of` and `Coefficients.seconds` (time), `disk.disk_of` (disk) and in `memory`. They leave
    out what does not grow with the data, and take `training.epochs` for the epochs, so that a training with patience may end
    sooner.
    """
    model = config.model.name
    stages = tuple(
        StageTime(name, work, coefficients.seconds(name, work.number, model), name in coefficients.observed)
        for name, work in work_of(counts, config).items()
    )
    return Plan(
        counts,
        model,
        coefficients.cores,
        stages,
        tuple(disk_of(counts, config, coefficients)),
        tuple(memory_of(counts, config, coefficients)),
        tuple(_warnings(counts, config, coefficients)),
    )


def _warnings(counts: Counts, config: Config, coefficients: Coefficients) -> Iterator[str]:
    for name, most in coefficients.tested.items():
        if getattr(counts, name) > most:
            yield f"no more than {most:,} {name} have been tried: see docs/capacity.md"
    limit, needed = config.run.driver_bytes, 2 * _COLUMN * counts.items
    if needed > limit:
        yield f"{counts.items:,} items take {needed:,} bytes on the driver: set run.driver_bytes to that or more (now {limit:,})"
    square = _COLUMN * counts.items**2
    asked = [name for name in config.evaluate.baselines if name in _ITEMS_BY_ITEMS]
    if asked and square > limit:
        yield (
            f"{' and '.join(asked)} take {square:,} bytes on the driver: leave them out of evaluate.baselines, or raise "
            f"run.driver_bytes (now {limit:,})"
        )
    if config.recommend.candidates.sources:
        yield "finding candidates, and the table of them, are not reckoned with"
    files = config.training.ranks * config.examples.rows_per_file
    if config.training.ranks > 1 and positives(counts, config) < files:
        yield (
            f"an epoch has fewer rows than {config.training.ranks} ranks x examples.rows_per_file: the files will be small, "
            "and fewer ranks as fast"
        )


def _mib(size: int) -> str:
    return f"{size / _MIB:,.0f}"
