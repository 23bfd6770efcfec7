"""The cells of a benchmark: every data set with every model and seed, each an effective configuration of its own."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from recsys_spark import storage
from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.evaluate.measures import OF_RATINGS, RATINGS, measures
from recsys_spark.evaluate.subjects import POPULARITY, RANDOM
from recsys_spark.settings import Benchmark, BenchmarkData, Config

_ITS_OWN: Final = ("dataset", "root", "run", "tune", "benchmark")
_OF_MODELS: Final = ("model.", "training.", "examples.")
_OF_EXAMPLES: Final = ("dataset", "ingest", "interactions", "split", "examples", "generate")


@dataclass(frozen=True)
class Cell:
    """One data set, model and seed. `ready` is the configuration that its data set is prepared with, for all models."""

    dataset: str
    model: str
    seed: int
    root: str
    prepare: tuple[str, ...]
    ready: Config
    config: Config
    config_hash: str

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What makes it this cell: any other setting would be another one."""
        return self.dataset, self.model, self.seed, self.config_hash

    @property
    def examples(self) -> str:
        """Cells of a data set with the same words here train on the same files of examples."""
        kind = self.config.model.chosen.examples
        return f"{self.config.digest(*_OF_EXAMPLES)} {kind} {self.config.training.ranks}"

    def __str__(self) -> str:
        return f"{self.dataset} / {self.model} / seed {self.seed}"


def cells_of(config: Config, root: str, as_of: date | None) -> list[Cell]:
    """All cells, by data set, then seed, then models that share examples side by side.

    Args:
        root: the folder below which data sets lie that name no root; empty where there is none.

    Raises:
        UserError: there is no data set or model; a setting of one of them does not hold, or would not reach the cells; a
            metric is unknown (with the nearest known one); a data set has no root.
    """
    benchmark = config.benchmark
    for name, value in (("datasets", benchmark.datasets), ("models", benchmark.models)):
        if not value:
            raise UserError(f"benchmark.{name} is empty: give --config conf/benchmark-smoke.yaml, or one like it")
    _check_sections(config)
    _check_models(benchmark)
    measured = _measured(benchmark)
    cells: list[Cell] = []
    for name, data in benchmark.datasets.items():
        for seed in dict.fromkeys(benchmark.seeds):
            of_seed = [
                _cell(config, root, as_of, name, data, label, seed, [*measured, beside])
                for label, beside in zip(benchmark.models, _baselines(benchmark), strict=True)
            ]
            drawn = [cell.examples for cell in of_seed]
            cells += sorted(of_seed, key=lambda cell: drawn.index(cell.examples))
    return cells


def figure_key(protocol: str, split: str, metric: str) -> str:
    """The name of a figure of a cell: `full/test/ndcg@10`."""
    return f"{protocol}/{split}/{metric}"


def _cell(
    config: Config,
    root: str,
    as_of: date | None,
    name: str,
    data: BenchmarkData,
    label: str,
    seed: int,
    also: list[str],
) -> Cell:
    run, benchmark = config.run, config.benchmark
    if not root and not data.root:
        raise UserError(f"benchmark.datasets.{name}: name its `root`, as the benchmark's own root is no folder")
    spread = [f"run.shuffle_partitions={run.shuffle_partitions}", f"run.driver_bytes={run.driver_bytes}"]
    # one split for all seeds: examples are of parts that were cut when the data set was prepared
    common = [*spread, f"split.seed={run.seed}", *data.set, *benchmark.set, *also]
    ready = _loaded(f"benchmark.datasets.{name}", data.config, [*common, f"run.seed={run.seed}"])
    own = [*common, *benchmark.models[label].set, f"run.seed={seed}"]
    of_cell = _loaded(f"benchmark.models.{label}", data.config, own)
    meaning = f"{of_cell.digest()} {ready.digest()} {as_of}"
    return Cell(
        dataset=name,
        model=label,
        seed=seed,
        root=data.root or storage.join(root, name),
        prepare=tuple(data.prepare),
        ready=ready,
        config=of_cell,
        config_hash=hashlib.sha256(meaning.encode()).hexdigest()[:12],
    )


def _loaded(origin: str, files: Sequence[str], settings: Sequence[str]) -> Config:
    try:
        return load_config(files, settings)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None


def _check_sections(config: Config) -> None:
    """What stands in another section would be passed over: cells are configured by their data set and model alone."""
    default = load_config()
    for section in type(config).model_fields:
        if section not in _ITS_OWN and getattr(config, section) != getattr(default, section):
            raise UserError(
                f"section `{section}` is set beside `benchmark`, and no cell would see it: put it into benchmark.set, or "
                "into the `config` or `set` of a data set or model"
            )


def _check_models(benchmark: Benchmark) -> None:
    for label, model in benchmark.models.items():
        for setting in model.set:
            key = setting.partition("=")[0].strip()
            if not key.startswith(_OF_MODELS) or key == "examples.fits":
                raise UserError(
                    f"benchmark.models.{label}: `{key}` cannot differ between models: expected keys under model., "
                    "training. and examples. (but for examples.fits: see benchmark.fits)"
                )


def _measured(benchmark: Benchmark) -> list[str]:
    """The settings by which every cell is measured alike."""
    ks = [int(k) for _, at_k, k in (metric.partition("@") for metric in benchmark.metrics) if at_k and k.isdigit()]
    chosen = sorted(set(ks)) or [10]
    known = [name for protocol in benchmark.protocols for name in _known(protocol, chosen)]
    for metric in benchmark.metrics:
        if metric not in known:
            near = difflib.get_close_matches(metric, known, n=1, cutoff=0.0)[0]
            raise UserError(f"benchmark.metrics: unknown metric `{metric}`; did you mean `{near}`?")
    return [
        f"examples.fits={_flow(benchmark.fits)}",
        f"evaluate.protocols={_flow(benchmark.protocols)}",
        f"evaluate.splits={_flow(benchmark.splits)}",
        f"evaluate.ks={_flow(chosen)}",
    ]


def _baselines(benchmark: Benchmark) -> list[str]:
    """The setting of each model's cell: what is costly to fit is fitted beside the first model of a seed alone."""
    cheap = [name for name in benchmark.baselines if name in (POPULARITY, RANDOM)]
    chosen: list[Sequence[str]] = [benchmark.baselines, *[cheap] * (len(benchmark.models) - 1)]
    return [f"evaluate.baselines={_flow(names)}" for names in chosen]


def _known(protocol: str, ks: Sequence[int]) -> list[str]:
    """The figures of a protocol, as they are asked for."""
    if protocol == RATINGS:
        return list(OF_RATINGS)
    return [_name(each.name, each.k) for each in measures(protocol, ks)]


def _name(metric: str, k: int | None) -> str:
    return metric if k is None else f"{metric}@{k}"


def _flow(values: Sequence[object]) -> str:
    return f"[{', '.join(map(str, values))}]"
