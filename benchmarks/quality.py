"""The quality of a configuration over several seeds, by the very jobs that users call.

    .venv/bin/python benchmarks/quality.py --config conf/ncf-ml-1m.yaml --root .data/ncf-ml-1m --seeds 42 43 \\
        [--set model.neumf.pretrain=true]

The root must have been ingested and indexed. For each seed the negatives are drawn, the evaluate fit and the refit on train
and validation are trained, and both are measured once on test among the candidates of `eval_examples`; epochs are
chosen on validation. Prints Markdown: a line a fit and seed, and the means over the seeds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from bench import header, seconds_of, spread
from deltalake import DeltaTable

CHECKOUT = Path(__file__).resolve().parent.parent
FITS = ("evaluate", "refit")
SETTINGS = ("examples.fits=[evaluate,refit]", "evaluate.protocols=[sampled]", "evaluate.splits=[test]")
FIGURES = (("hr", 10), ("ndcg", 10))


def main() -> None:
    """Run the jobs for each seed, then read `metrics`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, action="append", help="as the jobs take it")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    print(header(options.seeds[0], *options.settings) + "\n", flush=True)
    print(
        "| fit | seed | epochs | train job, both fits, s | HR@10 [95%] | NDCG@10 [95%] |\n| --- | --: | --: | --: | --- | --- |"
    )
    found: dict[str, list[list[float]]] = defaultdict(list)
    for seed in options.seeds:
        seconds = {job: run_job(job, options, seed) for job in ("examples", "train", "evaluate")}
        for fit in FITS:
            values = figures_of(options.root, fit)
            found[fit].append(values["means"])
            print(
                f"| {fit} | {seed} | {values['epochs']} | {seconds['train']:.0f} | {' | '.join(values['shown'])} |",
                flush=True,
            )
    for fit, means in found.items():
        of_each = (spread(each, ".4f") for each in zip(*means, strict=True))
        print(f"| {fit} | median of {len(means)} | | | {' | '.join(of_each)} |")


def run_job(job: str, options: argparse.Namespace, seed: int) -> float:
    """One job as a person would run it, and the seconds it took; what it prints goes to stderr."""
    submit = Path(sys.executable).with_name("spark-submit")
    settings = [*SETTINGS, f"run.seed={seed}", *options.settings]
    command = [str(submit), str(CHECKOUT / "jobs" / f"{job}.py"), "--root", str(options.root)]
    command += [part for file in options.config for part in ("--config", file)]
    command += [part for setting in settings for part in ("--set", setting)]
    return seconds_of(lambda: subprocess.run(command, check=True, stdout=sys.stderr))


def figures_of(root: Path, fit: str) -> dict[str, Any]:
    """The newest model of a fit: its epochs and its figures on test."""
    models = [row for row in rows_of(root / "models") if row["fit"] == fit]
    model = max(models, key=lambda row: row["created_at"])
    measured = [
        row
        for row in rows_of(root / "metrics")
        if (row["model_version"], row["split"], row["segment"]) == (model["model_version"], "test", "all")
    ]
    chosen = [next(row for row in measured if (row["metric"], row["k"]) == figure) for figure in FIGURES]
    return {
        "epochs": model["epochs"],
        "means": [row["value"] for row in chosen],
        "shown": [f"{row['value']:.4f} [{row['low']:.3f}, {row['high']:.3f}]" for row in chosen],
    }


def rows_of(table: Path) -> list[dict[str, Any]]:
    """A small table as rows."""
    return [
        row for file in DeltaTable(str(table)).file_uris() for row in pq.read_table(file, partitioning=None).to_pylist()
    ]


if __name__ == "__main__":
    main()
