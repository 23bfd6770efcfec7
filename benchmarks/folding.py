"""Folding and quality of `softmax_dnn` by the number of its negatives and by how they are drawn, by the very train job.

    .venv/bin/python benchmarks/folding.py --config conf/ml-1m.yaml --root .data/ml-1m [--seeds 42 43] \\
        [--negatives 16 1024] [--set training.epochs=30]

The root must have been ingested and indexed, and have features and examples of sequences (`examples.kinds=[sequences]`).
Only the evaluate fit is trained. Folding is the share of items' ten nearest neighbours that share no user with them (Xin et
al. 2017, "Folding: Why Good Models Sometimes Make Spurious Recommendations"). They name negatives as the remedy; but rare
items that lie well count as well, for want of users, so read it beside the quality. Both figures are of the epoch that was best
on validation, and are read from the artifact.

Prints Markdown: a line a training, and the medians over the seeds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from itertools import product
from pathlib import Path

import pyarrow.parquet as pq
from bench import header, seconds_of, spread, submitted
from deltalake import DeltaTable

SAMPLING = ("popularity", "uniform")
NDCG = "ndcg@10"


def main() -> None:
    """Train each setting with each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, action="append", help="as the jobs take it")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43])
    parser.add_argument("--negatives", type=int, nargs="+", default=[16, 1024])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    print(header(options.seeds[0], *options.settings) + "\n", flush=True)
    print("| sampling | negatives | seed | epochs | train job, s | folding | validation NDCG@10 |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    found: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for sampling, negatives, seed in product(SAMPLING, options.negatives, options.seeds):
        seconds = seconds_of(lambda: train(options, sampling, negatives, seed))  # noqa: B023
        epochs, folding, ndcg = figures_of(options.root)
        found[sampling, negatives].append((folding, ndcg))
        line = f"| {sampling} | {negatives} | {seed} | {epochs} | {seconds:.0f} | {folding:.4f} | {ndcg:.4f} |"
        print(line, flush=True)
    for (sampling, negatives), each in found.items():
        shown = " | ".join(spread(values, ".4f") for values in zip(*each, strict=True))
        print(f"| {sampling} | {negatives} | median of {len(each)} | | | {shown} |")


def train(options: argparse.Namespace, sampling: str, negatives: int, seed: int) -> None:
    """The evaluate fit, with these negatives and this seed."""
    chosen = [f"model.softmax_dnn.sampling={sampling}", f"model.softmax_dnn.negatives={negatives}", f"run.seed={seed}"]
    settings = ["model.name=softmax_dnn", "examples.fits=[evaluate]", *chosen, *options.settings]
    submitted("train", "--root", str(options.root.resolve()), files=options.config, settings=settings)


def figures_of(root: Path) -> tuple[int, float, float]:
    """Of the newest model: its best epoch, folding, and NDCG@10 on validation there."""
    files = DeltaTable(str(root / "models")).file_uris()
    models = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    newest = max(models, key=lambda row: row["created_at"])
    manifest = json.loads((Path(newest["path"]) / "manifest.json").read_text(encoding="utf-8"))
    best = next(epoch for epoch in manifest["history"] if epoch["number"] == manifest["best_epoch"])
    return manifest["best_epoch"], manifest["folding"], best["validation"][NDCG]


if __name__ == "__main__":
    main()
