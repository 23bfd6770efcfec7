"""The report of a benchmark as Markdown: a table a data set, protocol and split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from recsys_spark.benchmark.cells import figure_key
from recsys_spark.benchmark.results import Line, Over
from recsys_spark.settings import Benchmark

_AMONG = {
    "sampled": "among sampled candidates",
    "full": "among the whole catalogue",
    "ratings": "held-out ratings, predicted",
}


def markdown(benchmark: Benchmark, lines: Mapping[str, Sequence[Line]], failed: Mapping[str, str]) -> list[str]:
    """The report's lines; `lines` by data set, `failed` by cell. Models whose seeds differ in number say so."""
    report = ["# Benchmark", "", *_preface(benchmark)]
    for dataset, protocol, split in product(lines, benchmark.protocols, benchmark.splits):
        measured = {key for line in lines[dataset] for key in line.figures}
        metrics = [metric for metric in benchmark.metrics if figure_key(protocol, split, metric) in measured]
        if metrics:
            report += ["", f"## {dataset}, {split}, {_AMONG[protocol]}", ""]
            report += _table(lines[dataset], protocol, split, metrics)
    bare = [f"- {dataset}: {line.name}" for dataset, each in lines.items() for line in each if not line.figures]
    if bare:
        report += ["", "## Without a figure under these protocols", "", *bare]
    if failed:
        report += ["", "## Failed", ""]
        report += [f"- {cell}: {error.splitlines()[0]}" for cell, error in failed.items()]
    return report


def _preface(benchmark: Benchmark) -> list[str]:
    seeds = ", ".join(map(str, dict.fromkeys(benchmark.seeds)))
    return [
        f"Seeds {seeds}. Figures are means over the seeds, in brackets the least and the greatest. Training is the",
        "seconds of the fit's epochs, without validation and start-up.",
    ]


def _table(lines: Sequence[Line], protocol: str, split: str, metrics: Sequence[str]) -> Iterator[str]:
    yield f"| model | seeds | {' | '.join(metrics)} | training, s | parameters |"
    yield "| --- | --: |" + " --- |" * len(metrics) + " --: | --: |"
    for line in lines:
        figures = [line.figures.get(figure_key(protocol, split, metric)) for metric in metrics]
        if any(figures):
            seconds = "" if line.training_seconds is None else f"{line.training_seconds.mean:.1f}"
            parameters = "" if line.parameters is None else f"{line.parameters:,}"
            shown = " | ".join(_shown(figure) for figure in figures)
            yield f"| {line.name} | {line.seeds} | {shown} | {seconds} | {parameters} |"


def _shown(figure: Over | None) -> str:
    return "-" if figure is None else f"{figure.mean:.4f} ({figure.least:.4f} to {figure.greatest:.4f})"
