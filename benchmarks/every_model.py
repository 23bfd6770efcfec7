"""Every model through the jobs that users call, on one data set: does it run, how long does it take, what does it come to.

    .venv/bin/python benchmarks/every_model.py --config conf/ml-1m.yaml --root .data/every-ml-1m \\
        [--models sasrec din] [--set training.epochs=3]

The root is ingested, indexed and given its features once; then `examples`, `train`, `evaluate` and `recommend` run for each
model in turn, in one Spark session. With few epochs it says that a model runs, not how good it can be. Prints Markdown: a line
a model, with the exit code of its jobs, their seconds, and NDCG@10 and HR@10 on test over the whole catalogue.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from bench import configured, header, timed
from quality import rows_of

from recsys_spark.cli import main as run_jobs
from recsys_spark.config import load_config

MODELS = (
    *("neumf", "gmf", "mlp", "matrix_factorization", "embedding_mlp", "multitask"),
    *("din", "softmax_dnn", "two_tower", "gru4rec", "sasrec"),
)
PREPARE = ("ingest", "index", "features")
OF_MODEL = ("examples", "train", "evaluate", "recommend", "publish")
FIGURES = (("ndcg", 10), ("hr", 10))


def main() -> int:
    """Run the jobs of each model; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, action="append", help="as the jobs take it")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    # one epoch or so is no quality, and the model before was another
    gates = [f"publish.gates.{gate}={{low: null, high: null}}" for gate in ("over_popularity", "lift_ratio", "overlap")]
    common = ["--root", str(options.root), *configured(options.config, [*gates, *options.settings])]
    seed = load_config(options.config, options.settings).run.seed
    print(header(seed, *options.settings) + "\n", flush=True)
    if code := _jobs(PREPARE, common):
        return code
    print(
        "| model | exit code | examples to publish, s | lists | NDCG@10, HR@10 on test, whole catalogue |", flush=True
    )
    print("| --- | --: | --: | --: | --- |", flush=True)
    failed = False
    for model in options.models:
        with timed() as seconds:
            code = _jobs(OF_MODEL, [*common, "--set", f"model.name={model}"])
        failed |= code != 0
        lists, figures = ("", "") if code else (f"{_lists(options.root):,}", ", ".join(_figures(options.root, model)))
        print(f"| {model} | {code} | {seconds[0]:.0f} | {lists} | {figures} |", flush=True)
    return int(failed)


def _jobs(stages: tuple[str, ...], argv: list[str]) -> int:
    """Jobs as a person would run them; what they print goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        return run_jobs(*stages, description=__doc__ or "", argv=argv)


def _lists(root: Path) -> int:
    """Users with a published list."""
    return len({row["user_id"] for row in rows_of(root / "recommendations_current")})


def _figures(root: Path, model: str) -> list[str]:
    trained = [row for row in rows_of(root / "models") if (row["model_name"], row["fit"]) == (model, "evaluate")]
    version = max(trained, key=lambda row: row["created_at"])["model_version"]
    measured = {
        (row["metric"], row["k"]): row
        for row in rows_of(root / "metrics")
        if (row["model_version"], row["split"], row["segment"], row["protocol"]) == (version, "test", "all", "full")
    }
    return [_words(measured.get(figure)) for figure in FIGURES]


def _words(row: dict[str, Any] | None) -> str:
    if row is None:
        return "not measured"
    interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['value']:.4f}{interval}"


if __name__ == "__main__":
    sys.exit(main())
